// The package as npm makes it, installed into an application of its own.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";
import { afterAll, beforeAll, expect, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
const app = mkdtempSync(join(tmpdir(), "grantkeep-pack-"));
let files: string[];

function run(program: string, arguments_: string[], folder: string): string {
  return execFileSync(program, arguments_, { cwd: folder, encoding: "utf8" });
}

beforeAll(() => {
  const packed = run(
    "npm",
    ["pack", "--json", "--loglevel=error", "--pack-destination", app],
    root,
  );
  // The build's own lines come first.
  const [made] = JSON.parse(packed.slice(packed.indexOf("[\n"))) as [
    { filename: string; files: { path: string }[] },
  ];
  files = made.files.map(({ path }) => path);
  writeFileSync(join(app, "package.json"), '{"private":true,"type":"module"}');
  const quietly = ["--offline", "--no-audit", "--no-fund", "--loglevel=error"];
  run("npm", ["install", ...quietly, `./${made.filename}`], app);
  // React and its types are the application's own.
  for (const name of ["react", "@types", "csstype"]) {
    symlinkSync(join(root, "node_modules", name), join(app, "node_modules", name));
  }
}, 120_000);

afterAll(() => rmSync(app, { recursive: true, force: true }));

test("it holds what was built, the licences and a page to read, and nothing else", () => {
  const others = files.filter((path) => !/^dist\/(client\/)?[a-z-]+\.(js|d\.ts)$/.test(path));

  expect(others.sort()).toEqual(["LICENSE-APACHE", "LICENSE-MIT", "README.md", "package.json"]);
  expect(files).toContain("dist/index.js");
  expect(files).toContain("dist/client/index.d.ts");
});

test("it brings no other package", () => {
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

  expect(manifest.dependencies).toBeUndefined();
  expect(manifest.peerDependencies).toEqual({ react: "^18.0.0 || ^19.0.0" });
});

test("servers load the client without React", () => {
  const script = `
    import { createClient } from "@grantkeep/react/client";
    console.log(typeof createClient().fetchWithToken);
  `;
  rmSync(join(app, "node_modules/react"));
  try {
    expect(run("node", ["--input-type=module", "--eval", script], app).trim()).toBe("function");
  } finally {
    symlinkSync(join(root, "node_modules/react"), join(app, "node_modules/react"));
  }
});

test("its types hold in a strict application", () => {
  const source = `
    import { ConnectButton, GrantkeepProvider, useConnections, type Connection } from "@grantkeep/react";
    import { accessToken, type AccessToken } from "@grantkeep/react/client";
    export const token: Promise<AccessToken> = accessToken({ provider: "gmail" });
    export function First(): Connection | undefined { return useConnections().connections?.[0]; }
    export const page = (
      <GrantkeepProvider baseUrl="https://auth.example">
        {/* @ts-expect-error a provider is needed */}
        <ConnectButton />
        <ConnectButton provider="gmail" scope={["email"]} />
      </GrantkeepProvider>
    );
  `;
  writeFileSync(join(app, "app.tsx"), source);
  const flags = [
    "--strict",
    "--noEmit",
    "--jsx",
    "react-jsx",
    "--types",
    "react",
    "--skipLibCheck",
  ];
  const modules = ["--target", "es2022", "--module", "nodenext", "--moduleResolution", "nodenext"];

  run(join(root, "node_modules/.bin/tsc"), [...flags, ...modules, "app.tsx"], app);
});

test("what an application does not use is not in its bundle", async () => {
  const bundled = async (line: string) => {
    const { outputFiles } = await build({
      stdin: { contents: line, resolveDir: app },
      bundle: true,
      write: false,
      format: "esm",
      external: ["react", "react/jsx-runtime"],
    });
    return outputFiles[0]?.text ?? "";
  };

  const one = await bundled('export { readOutcome } from "@grantkeep/react"');
  const all = await bundled('export * from "@grantkeep/react"');

  expect(one).toContain("missing_scope");
  expect(one).not.toContain("grantkeep-button");
  expect(one).not.toContain("api/connections");
  expect(all).toContain("grantkeep-button");
});

test("components say that they are for browsers", () => {
  for (const name of ["connect-button", "disconnect-button", "provider", "use-connections"]) {
    const text = readFileSync(join(root, `dist/${name}.js`), "utf8");
    expect(text.startsWith('"use client";'), name).toBe(true);
  }
});
