// The blocks of docs/frontend.md, made to run against what runs here.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { build, type Plugin } from "esbuild";

const PAGE = fileURLToPath(new URL("../../../docs/frontend.md", import.meta.url));
const SOURCE = fileURLToPath(new URL("../../src/", import.meta.url));

/** What stands in the page for what everybody has elsewhere. */
export interface Places {
  url: string;
  key: string;
  secret: string;
  demo: string;
}

/** A block as it stands in the page, by its first line without the backticks. */
export function block(name: string): string {
  const found = readFileSync(PAGE, "utf8").split(`\n\`\`\`${name}\n`)[1]?.split("\n```")[0];
  if (found === undefined) throw new Error(`docs/frontend.md has no block "${name}"`);
  return found;
}

/** The page's addresses led to what runs here. */
export function led(text: string, places: Places): string {
  return text
    .replaceAll("https://auth.example.com", places.url)
    .replaceAll("https://gmail.googleapis.com", places.demo);
}

/** The application's own module that the blocks import. */
export const AUTH = `
  export async function userOf(request: Request): Promise<{ id: string } | undefined> {
    const id = /\\bapp_user=(\\w+)/.exec(request.headers.get("cookie") ?? "")?.[1];
    return id === undefined ? undefined : { id };
  }
`;

type Handler = (request: Request) => Promise<Response>;

/** A function's handler. */
export async function loadFunction(name: string, places: Places): Promise<Handler> {
  const define = {
    "process.env.GRANTKEEP_URL": JSON.stringify(places.url),
    "process.env.GRANTKEEP_KEY": JSON.stringify(places.key),
    "process.env.SESSION_SECRET": JSON.stringify(places.secret),
  };
  const text = await bundle(led(block(name), places), { platform: "node", define });
  const address = `data:text/javascript;base64,${Buffer.from(text).toString("base64")}`;
  return ((await import(/* @vite-ignore */ address)) as { GET: Handler }).GET;
}

/** The React block with the lines that put it on a page. */
export function reactPage(places: Places): Promise<string> {
  const mount = `
    import { createRoot } from "react-dom/client";
    createRoot(document.getElementById("app")!).render(<Settings />);
  `;
  return bundle(led(block("tsx react"), places) + mount, {
    platform: "browser",
    define: { "process.env.NODE_ENV": '"production"' },
  });
}

async function bundle(
  contents: string,
  options: { platform: "node" | "browser"; define: Record<string, string> },
): Promise<string> {
  const neighbours: Plugin = {
    name: "neighbours",
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^@grantkeep\/react$/ }, () => ({ path: `${SOURCE}index.ts` }));
      onResolve({ filter: /^\.\/auth\.js$/ }, () => ({ path: "auth", namespace: "made" }));
      onLoad({ filter: /.*/, namespace: "made" }, () => ({ contents: AUTH, loader: "ts" }));
    },
  };
  const { outputFiles } = await build({
    ...options,
    stdin: { contents, loader: "tsx", resolveDir: SOURCE },
    plugins: [neighbours],
    bundle: true,
    write: false,
    format: "esm",
    jsx: "automatic",
  });
  return outputFiles[0]?.text ?? "";
}
