// Components under React 19 and 18, the client for servers, the package as it is published, and all
// of it against a running Grantkeep with a real browser.

import { fileURLToPath } from "node:url";

import { defineConfig } from "vitest/config";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const inReact18 = (path: string) => here(`test/react-18/node_modules/${path}`);

const react18 = [
  // As modules that Vite loads: their own imports of React are led to 18 too.
  {
    find: /^@testing-library\/react$/,
    replacement: here("node_modules/@testing-library/react/dist/@testing-library/react.esm.js"),
  },
  { find: /^react$/, replacement: inReact18("react/index.js") },
  { find: /^react\/jsx-runtime$/, replacement: inReact18("react/jsx-runtime.js") },
  { find: /^react\/jsx-dev-runtime$/, replacement: inReact18("react/jsx-dev-runtime.js") },
  { find: /^react-dom$/, replacement: inReact18("react-dom/index.js") },
  { find: /^react-dom\/client$/, replacement: inReact18("react-dom/client.js") },
  { find: /^react-dom\/test-utils$/, replacement: inReact18("react-dom/test-utils.js") },
  { find: /^react-dom\/server$/, replacement: inReact18("react-dom/server.node.js") },
];

const components = {
  environment: "jsdom",
  environmentOptions: { jsdom: { url: "https://app.example/settings?tab=mail" } },
  include: ["test/unit/**/*.test.{ts,tsx}"],
};

export default defineConfig({
  test: {
    projects: [
      { test: { ...components, name: "unit-react-19", env: { REACT: "19" } } },
      {
        resolve: { alias: react18 },
        test: {
          ...components,
          name: "unit-react-18",
          env: { REACT: "18" },
          server: { deps: { inline: [/@testing-library\/react/] } },
        },
      },
      { test: { name: "client", environment: "node", include: ["test/client/**/*.test.ts"] } },
      {
        test: {
          name: "pack",
          environment: "node",
          include: ["test/pack/**/*.test.ts"],
          testTimeout: 60_000,
        },
      },
      {
        test: { name: "examples", environment: "node", include: ["test/examples/**/*.test.ts"] },
      },
      {
        test: {
          name: "live",
          environment: "node",
          include: ["test/live/**/*.test.ts"],
          globalSetup: "test/live/setup.ts",
          // One browser and one Grantkeep for all of them.
          fileParallelism: false,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});
