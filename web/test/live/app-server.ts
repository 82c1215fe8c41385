// An application: its pages, its script, and the address where its server signs sessions.

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

import { signSession } from "../../src/client/index.js";

export interface App {
  port: number;
  /** Known once it runs. */
  grantkeep: string;
  stop(): void;
}

export async function startApp(secret: string): Promise<App> {
  const script = await bundle();
  const app = { port: 0, grantkeep: "", stop: () => server.close() };
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://app");
    switch (pathname) {
      case "/app.js":
        response.writeHead(200, { "content-type": "text/javascript" }).end(script);
        return;
      case "/session":
        response.end(await signSession({ secret, actor: "default" }));
        return;
      case "/by-cookie":
      case "/by-session":
        response.writeHead(200, { "content-type": "text/html; charset=utf-8" });
        response.end(page(app.grantkeep, pathname === "/by-session"));
        return;
      default:
        response.writeHead(404).end();
    }
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  app.port = (server.address() as AddressInfo).port;
  return app;
}

async function bundle(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL("app.tsx", import.meta.url))],
    bundle: true,
    write: false,
    format: "esm",
    jsx: "automatic",
    define: { "process.env.NODE_ENV": '"production"' },
  });
  return outputFiles[0]?.text ?? "";
}

function page(grantkeep: string, bySession: boolean): string {
  const settings = JSON.stringify({ grantkeep, bySession });
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>An application</title>
<main><h1>Settings</h1><div id="app"></div></main>
<script>window.settings = ${settings}</script>
<script type="module" src="/app.js"></script>
</html>`;
}
