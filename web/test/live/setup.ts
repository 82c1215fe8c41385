// Starts what the live tests share: `cargo dev`, and a server with an application's pages.

import { spawn, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";

import type { TestProject } from "vitest/node";

import { startApp } from "./app-server.js";

/** What the tests know of it. */
export interface Live {
  /** Grantkeep. */
  url: string;
  /** A service key that may do everything. */
  key: string;
  /** SESSION_SECRET. */
  secret: string;
  /** The demo provider. */
  demo: string;
  /** The hosted page with a session of the default user. */
  connectPage: string;
  /** The application's port. */
  appPort: number;
}

declare module "vitest" {
  export interface ProvidedContext {
    live: Live;
  }
}

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));

/** Milliseconds for building and starting. */
const START = 900_000;

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const secret = "a-session-secret-that-only-tests-use-0001";
  const app = await startApp();
  // One site with Grantkeep, and another one.
  const origins = ["127.0.0.1", "localhost"].map((host) => `http://${host}:${app.port}`);
  const process_ = spawn("cargo", ["dev"], {
    cwd: ROOT,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      ...process.env,
      PORT: "0",
      SESSION_SECRET: secret,
      RETURN_TO_ORIGINS: origins.join(","),
    },
  });
  const said = await ready(process_);
  const find = (pattern: RegExp): string => {
    const found = pattern.exec(said)?.[1];
    if (found === undefined) throw new Error(`${pattern} is not in\n${said}`);
    return found;
  };
  const live = {
    url: find(/GRANTKEEP_URL='([^']+)'/),
    key: find(/GRANTKEEP_KEY='([^']+)'/),
    secret,
    demo: find(/the demo provider at (\S+)/),
    connectPage: find(/(http\S+\/connect\?session=\S+)/),
    appPort: app.port,
  };
  await app.open(live);
  project.provide("live", live);
  return async () => {
    const ended = new Promise((resolve) => process_.once("exit", resolve));
    if (process_.exitCode === null) process.kill(-(process_.pid ?? 0), "SIGINT");
    await ended;
    app.stop();
  };
}

function ready(dev: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = "";
    const late = setTimeout(() => fail("in time"), START);
    const fail = (how: string) => reject(new Error(`cargo dev did not start ${how}:\n${said}`));
    const hear = (part: Buffer) => {
      said += part.toString();
      if (!said.includes("Stop with Ctrl-C")) return;
      clearTimeout(late);
      resolve(said);
    };
    dev.stdout?.on("data", hear);
    dev.stderr?.on("data", hear);
    dev.once("error", (error) => fail(`(${error.message})`));
    dev.once("exit", () => fail("and ended"));
  });
}
