// The application's server in development: two small functions beside the pages.

import type { ServerResponse } from "node:http";

import { signSession } from "@grantkeep/react/client";
import { defineConfig, type Plugin } from "vite";

function setting(name: string): string {
  const value = process.env[name];
  if (value) return value;
  throw new Error(`${name} is not set: begin with npm start`);
}

function answer(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { "cache-control": "no-store" }).end(text);
}

/** What would be functions of the application, deployed. */
const functions: Plugin = {
  name: "functions",
  configureServer({ middlewares }) {
    middlewares.use("/api/grantkeep-session", (_, response) => {
      // Everybody who can reach this server is its one user. Yours asks who is logged in.
      signSession({ secret: setting("SESSION_SECRET"), actor: "default" }).then(
        (session) => answer(response, 200, session),
        (error: Error) => answer(response, 500, error.message),
      );
    });
    middlewares.use("/api/look-for-mail", (request, response) => {
      if (request.method !== "POST") return answer(response, 405, "POST only");
      fetch(`${setting("GRANTKEEP_URL")}/api/cron/poll`, {
        headers: { authorization: `Bearer ${setting("CRON_SECRET")}` },
        signal: AbortSignal.timeout(60_000),
      }).then(
        async (polled) =>
          answer(response, polled.ok ? 200 : 502, await polled.text()),
        (error: Error) => answer(response, 502, error.message),
      );
    });
  },
};

export default defineConfig({
  plugins: [functions],
  define: {
    "import.meta.env.VITE_GRANTKEEP_URL": JSON.stringify(
      setting("GRANTKEEP_URL"),
    ),
  },
  // The package next door has a React of its own for its tests.
  resolve: { dedupe: ["react", "react-dom"] },
  server: {
    host: "127.0.0.1",
    port: Number(process.env["PORT"] ?? 5173),
    strictPort: true,
  },
});
