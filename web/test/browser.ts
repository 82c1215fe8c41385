// Debian's Chromium, driven by Playwright.

import { existsSync } from "node:fs";

import { chromium, type Browser } from "playwright-core";

const CHROMIUM = process.env["CHROMIUM"] ?? "/usr/bin/chromium";

/** Another one by the variable CHROMIUM. */
export function startBrowser(): Promise<Browser> {
  if (!existsSync(CHROMIUM)) {
    throw new Error("Chromium is needed: apt-get install chromium, or set CHROMIUM to its path");
  }
  const args = ["--disable-dev-shm-usage", "--disable-gpu", "--no-proxy-server"];
  return chromium.launch({ executablePath: CHROMIUM, chromiumSandbox: false, args });
}
