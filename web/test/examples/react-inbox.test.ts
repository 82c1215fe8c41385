// examples/react-inbox, started by its one command, used in a browser.

import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";

import { startBrowser } from "../browser.js";

const FOLDER = fileURLToPath(new URL("../../../examples/react-inbox", import.meta.url));
/** Not Vite's own, which somebody may be using. */
const PORT = "5174";

let stop: () => Promise<void>;
let browser: Browser;
let page: Page;

beforeAll(async () => {
  const started = spawn("npm", ["start"], {
    cwd: FOLDER,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, PORT, NO_COLOR: "1" },
  });
  stop = async () => {
    const ended = new Promise((resolve) => started.once("exit", resolve));
    if (started.exitCode === null) process.kill(-(started.pid ?? 0), "SIGINT");
    await ended;
  };
  await new Promise<void>((resolve, reject) => {
    let said = "";
    const hear = (part: Buffer) => {
      said += part.toString();
      if (said.includes(`127.0.0.1:${PORT}/`)) resolve();
    };
    started.stdout.on("data", hear);
    started.stderr.on("data", hear);
    started.once("exit", () => reject(new Error(`npm start ended:\n${said}`)));
  });
  browser = await startBrowser();
  page = await browser.newPage();
  page.setDefaultTimeout(20_000);
}, 900_000);

afterAll(async () => {
  await browser?.close();
  await stop?.();
}, 60_000);

test("connects Gmail, watches a sender and shows what came", async () => {
  await page.goto(`http://127.0.0.1:${PORT}/`);
  await page.getByRole("button", { name: "Connect Gmail" }).click();
  await page.getByRole("button", { name: "Allow" }).click();
  await page.getByText("Gmail is connected as alice@example.test").waitFor();

  await page.getByLabel("Watch a sender").fill("ann@sender.example");
  await page.getByRole("button", { name: "Watch", exact: true }).click();

  await page.getByText("Your offer").waitFor();
  expect(await page.locator(".inbox li").count()).toBe(2);
  expect(await page.getByRole("alert").count()).toBe(0);
}, 90_000);
