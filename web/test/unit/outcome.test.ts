import { expect, test } from "vitest";

import { readOutcome } from "../../src/index.js";

test("the page's own parameters of the same names are left alone", () => {
  const own = "provider=mine&error=0&connection=slow";
  const added = "connection=pending&connection_id=7&account=a&provider=gmail";

  const read = readOutcome(`https://app.example/x?${own}&${added}#end`);

  expect(read?.outcome).toMatchObject({ status: "pending", provider: "gmail", connectionId: "7" });
  expect(read?.rest).toBe(`https://app.example/x?${own}#end`);
});

test.each(["", "?tab=mail", "?connection=slow&provider=x", "?connection=connected", "?provider=x"])(
  "%j says nothing",
  (query) => {
    expect(readOutcome(`https://app.example/x${query}`)).toBeUndefined();
  },
);
