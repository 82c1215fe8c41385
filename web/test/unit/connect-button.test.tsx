import { cleanup, screen, waitFor } from "@testing-library/react";
import { userEvent } from "@testing-library/user-event";
import { version } from "react";
import { renderToString } from "react-dom/server";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { ConnectButton, GrantkeepProvider } from "../../src/index.js";
import { BASE, connection, FakeGrantkeep, problem, READ, SEND, show } from "./support.js";

beforeEach(() => window.history.replaceState(null, "", "/settings?tab=mail"));

afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
});

const state = () => document.querySelector(".grantkeep")?.getAttribute("data-state");
const main = () => document.querySelector<HTMLButtonElement>(".grantkeep-button");
const press = (name: string) => userEvent.click(screen.getByRole("button", { name }));

test("these tests run under the React that they say", () => {
  expect(version.split(".")[0]).toBe(process.env["REACT"]);
});

test("without a connection it goes to the consent page and comes back here", async () => {
  new FakeGrantkeep();
  const left = show(<ConnectButton provider="gmail" />);
  await waitFor(() => expect(state()).toBe("connect"));

  await press("Connect Gmail");

  expect(left).toHaveLength(1);
  const address = new URL(left[0] ?? "");
  expect(address.origin + address.pathname).toBe(`${BASE}/api/oauth/gmail/authorize`);
  expect(Object.fromEntries(address.searchParams)).toEqual({
    return_to: "https://app.example/settings?tab=mail",
  });
});

test("on the way out it says so and cannot be pressed twice", async () => {
  new FakeGrantkeep();
  const left = show(<ConnectButton provider="gmail" />);
  await waitFor(() => expect(state()).toBe("connect"));

  await press("Connect Gmail");
  await press("Going to Gmail…");

  expect(main()?.getAttribute("aria-busy")).toBe("true");
  expect(left).toHaveLength(1);
});

test("shown again by the Back button it can be pressed again", async () => {
  new FakeGrantkeep();
  show(<ConnectButton provider="gmail" />);
  await waitFor(() => expect(state()).toBe("connect"));
  await press("Connect Gmail");

  window.dispatchEvent(new Event("pageshow"));

  await screen.findByRole("button", { name: "Connect Gmail" });
});

test("account, scope and return_to go along", async () => {
  new FakeGrantkeep();
  const left = show(
    <ConnectButton
      provider="gmail"
      account="bob@example.com"
      scope={[READ, SEND]}
      returnTo="/done"
    />,
  );

  await press("Connect Gmail");

  const query = Object.fromEntries(new URL(left[0] ?? "").searchParams);
  expect(query).toEqual({
    return_to: "https://app.example/done",
    account: "bob@example.com",
    scope: `${READ} ${SEND}`,
  });
});

test("a connection that works is told with its account", async () => {
  new FakeGrantkeep(connection());
  show(<ConnectButton provider="gmail" />);

  await screen.findByText("Gmail is connected as alice@example.com");

  expect(state()).toBe("connected");
  expect(main()).toBeNull();
});

test("a dead grant offers to reconnect the same account", async () => {
  new FakeGrantkeep(connection({ status: "reauthorization_required" }));
  const left = show(<ConnectButton provider="gmail" />);
  await screen.findByText("alice@example.com does not let this app in any more.");

  await press("Reconnect Gmail");

  expect(state()).toBe("reconnect");
  expect(new URL(left[0] ?? "").searchParams.get("account")).toBe("alice@example.com");
});

test("what the user left out is named and asked for", async () => {
  new FakeGrantkeep(connection({ scopes: ["openid"], missing_scopes: [READ] }));
  const left = show(<ConnectButton provider="gmail" />);
  await screen.findByText(/not everything was allowed. Missing: gmail.readonly./);

  await press("Allow more in Gmail");

  expect(state()).toBe("insufficient_scope");
  const query = new URL(left[0] ?? "").searchParams;
  expect([query.get("scope"), query.get("account")]).toEqual([READ, "alice@example.com"]);
});

test("what this page needs and the user never granted is missing too", async () => {
  new FakeGrantkeep(connection());
  show(<ConnectButton provider="gmail" scope={[SEND]} />);

  await screen.findByText(/Missing: gmail.send./);
});

test("email and profile count under their long names", async () => {
  const long = "https://www.googleapis.com/auth/userinfo.";
  new FakeGrantkeep(connection({ scopes: [`${long}email`, `${long}profile`] }));
  show(<ConnectButton provider="gmail" scope={["email", "profile"]} />);

  await waitFor(() => expect(state()).toBe("connected"));
});

test("what waits for confirmation is told", async () => {
  new FakeGrantkeep(connection({ status: "pending" }));
  show(<ConnectButton provider="gmail" />);

  await screen.findByText("alice@example.com is connected and waits to be confirmed.");
});

test("of several accounts the one that works counts, or the one that is named", async () => {
  const dead = { id: "dead", account: "old@example.com", status: "reauthorization_required" };
  new FakeGrantkeep(connection(dead), connection());
  show(
    <>
      <ConnectButton provider="gmail" className="any" />
      <ConnectButton provider="gmail" className="old" account="old@example.com" />
    </>,
  );

  await screen.findByText("Gmail is connected as alice@example.com");
  expect(document.querySelector(".old")?.getAttribute("data-state")).toBe("reconnect");
});

test("another provider's connection is none of its business", async () => {
  new FakeGrantkeep(connection({ provider: "google_calendar" }));
  show(<ConnectButton provider="gmail" />);

  await waitFor(() => expect(state()).toBe("connect"));
});

test("disconnecting asks first, and the harmless answer has the focus", async () => {
  const grantkeep = new FakeGrantkeep(connection());
  show(<ConnectButton provider="gmail" />);
  await screen.findByText(/is connected as/);

  await press("Disconnect Gmail");

  const keep = screen.getByRole("button", { name: "Keep it" });
  expect(document.activeElement).toBe(keep);
  await userEvent.click(keep);
  expect(document.activeElement?.textContent).toBe("Disconnect Gmail");
  expect(grantkeep.connections).toHaveLength(1);
});

test("confirmed, it disconnects, and there is a Connect button again", async () => {
  const grantkeep = new FakeGrantkeep(connection());
  show(<ConnectButton provider="gmail" />);
  await screen.findByText(/is connected as/);

  await press("Disconnect Gmail");
  await press("Yes, disconnect Gmail");

  await screen.findByRole("button", { name: "Connect Gmail" });
  expect(grantkeep.connections).toHaveLength(0);
});

test("a disconnect that fails says so, and can be tried again", async () => {
  const grantkeep = new FakeGrantkeep(connection());
  show(<ConnectButton provider="gmail" />);
  await screen.findByText(/is connected as/);
  grantkeep.failures.push(() => problem(503, "storage_unavailable"));

  await press("Disconnect Gmail");
  await press("Yes, disconnect Gmail");

  const alert = await screen.findByRole("alert");
  expect(alert.textContent).toContain("Try again later");
  expect(screen.getByRole("button", { name: "Disconnect Gmail" })).toBe(document.activeElement);
});

test("it can be had without Disconnect", async () => {
  new FakeGrantkeep(connection());
  show(<ConnectButton provider="gmail" disconnect={false} />);

  await screen.findByText(/is connected as/);
  expect(screen.queryByRole("button")).toBeNull();
});

test("a refusal at the provider is told in words, and the address is clean", async () => {
  const query = "connection=error&error=access_denied&provider=gmail";
  window.history.replaceState({ kept: true }, "", `/settings?tab=mail&${query}#top`);
  new FakeGrantkeep();
  show(
    <>
      <ConnectButton provider="gmail" />
      <ConnectButton provider="outlook" />
    </>,
  );

  const alert = await screen.findByRole("alert");
  expect(alert.textContent).toBe("Gmail was not connected, because access was not allowed.");
  expect(window.location.href).toBe("https://app.example/settings?tab=mail#top");
  expect(window.history.state).toEqual({ kept: true });
});

test("an address that claims success is not believed", async () => {
  const query = "connection=connected&account=alice%40example.com&provider=gmail";
  window.history.replaceState(null, "", `/settings?${query}`);
  new FakeGrantkeep();
  show(<ConnectButton provider="gmail" />);

  await waitFor(() => expect(state()).toBe("connect"));
  expect(screen.queryByText(/is connected/)).toBeNull();
});

test.each([
  ["signed out", () => problem(401, "unauthorized"), "You are signed out."],
  ["no network", () => Promise.reject(new TypeError("failed")), "cannot be reached"],
  ["an unknown code", () => problem(418, "teapot"), "Something went wrong."],
  ["no JSON", () => new Response("<html>"), "Something went wrong."],
])("it says in words when the list cannot be read: %s", async (_, failure, words) => {
  const grantkeep = new FakeGrantkeep();
  // Strict mode starts twice.
  grantkeep.failures.push(failure, failure);
  show(<ConnectButton provider="gmail" />);

  expect((await screen.findByRole("alert")).textContent).toContain(words);
  expect(state()).toBe("error");
});

test("disabled, it does nothing", async () => {
  new FakeGrantkeep(connection({ status: "reauthorization_required" }));
  const left = show(<ConnectButton provider="gmail" disabled />);
  await screen.findByText(/does not let this app in/);

  await press("Reconnect Gmail");
  await press("Disconnect Gmail");

  expect(left).toEqual([]);
  expect(screen.queryByRole("button", { name: "Keep it" })).toBeNull();
});

test("sentences can be said otherwise", async () => {
  new FakeGrantkeep();
  show(<ConnectButton provider="google_calendar" />, {
    words: { connect: ({ name }) => `${name} verbinden` },
  });

  await screen.findByRole("button", { name: "Google Calendar verbinden" });
});

test("classes are there for style sheets, and its own look can be left out", async () => {
  new FakeGrantkeep();
  show(<ConnectButton provider="gmail" className="mine" unstyled />);
  await waitFor(() => expect(state()).toBe("connect"));

  expect(document.querySelector(".grantkeep.mine")?.getAttribute("style")).toBeNull();
  expect(main()?.getAttribute("style")).toBeNull();
});

test("its own look follows CSS variables", async () => {
  new FakeGrantkeep();
  show(<ConnectButton provider="gmail" />);
  await waitFor(() => expect(state()).toBe("connect"));

  expect(main()?.getAttribute("style")).toContain("var(--grantkeep-background");
});

test("it renders on a server, where there is no window to ask", () => {
  const page = renderToString(
    <GrantkeepProvider baseUrl={BASE}>
      <ConnectButton provider="gmail" />
    </GrantkeepProvider>,
  );

  expect(page).toContain("Connect Gmail");
});

test("outside of a provider it says what to do", () => {
  vi.spyOn(console, "error").mockImplementation(() => {});

  expect(() => renderToString(<ConnectButton provider="gmail" />)).toThrow("GrantkeepProvider");
});
