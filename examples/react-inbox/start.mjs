// `npm start`: installs what is missing, starts `cargo dev` unless the environment says where a
// Grantkeep is, and serves the application.

import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const root = fileURLToPath(new URL("../..", import.meta.url));
const web = `${root}web`;
const NEEDED = ["GRANTKEEP_URL", "SESSION_SECRET", "CRON_SECRET"];
const SENDER = "ann@sender.example";

function run(folder, program, ...words) {
  const { status, error } = spawnSync(program, words, {
    cwd: folder,
    stdio: "inherit",
  });
  if (error || status !== 0) {
    console.error(
      `${program} ${words.join(" ")} failed in ${folder}${error ? `: ${error}` : ""}`,
    );
    process.exit(1);
  }
}

const quietly = ["--no-audit", "--no-fund", "--loglevel=error"];
if (!existsSync(`${web}/node_modules`)) run(web, "npm", "ci", ...quietly);
run(web, "npm", "run", "--silent", "build");
if (!existsSync(`${here}node_modules`)) run(here, "npm", "ci", ...quietly);

const children = [];
function start(folder, program, words, options = {}) {
  const child = spawn(program, words, {
    cwd: folder,
    stdio: "inherit",
    ...options,
  });
  child.once("error", (error) =>
    end(1, `${program} cannot be started: ${error.message}`),
  );
  child.once("exit", (code) => end(code ?? 0));
  children.push(child);
  return child;
}

let ending = false;
function end(code, message) {
  if (ending) return;
  ending = true;
  if (message) console.error(message);
  for (const child of children) child.kill("SIGINT");
  process.exitCode = code;
}
process.on("SIGINT", () => end(0));
process.on("SIGTERM", () => end(0));

/** `cargo dev`, and what it says is needed in the environment. */
function cargoDev() {
  const environment = { ...process.env, PORT: "0" };
  if (process.env.PORT)
    environment.RETURN_TO_ORIGINS = `http://127.0.0.1:${process.env.PORT}`;
  const dev = start(root, "cargo", ["dev"], {
    stdio: ["ignore", "pipe", "inherit"],
    env: environment,
  });
  let said = "";
  return new Promise((resolve) => {
    dev.stdout.on("data", (part) => {
      process.stdout.write(part);
      said += part;
      if (!said.includes("Stop with Ctrl-C")) return;
      const settings = Object.fromEntries(
        [...said.matchAll(/([A-Z_]+)='([^']*)'/g)].map(([, name, value]) => [
          name,
          value,
        ]),
      );
      resolve({ settings, demo: /the demo provider at (\S+)/.exec(said)?.[1] });
    });
  });
}

/** Some mail to find. */
async function deliver(demo) {
  const messages = ["Your offer", "Minutes of Monday"].map((subject) => ({
    account: "alice@example.test",
    from: `Ann Bell <${SENDER}>`,
    subject,
    text: "See below.",
  }));
  const answer = await fetch(`${demo}/control/messages`, {
    method: "POST",
    body: JSON.stringify(messages),
  });
  if (!answer.ok)
    throw new Error(
      `the demo mailbox took no messages: ${await answer.text()}`,
    );
}

const environment = { ...process.env };
if (!process.env.GRANTKEEP_URL) {
  const { settings, demo } = await cargoDev();
  Object.assign(environment, settings);
  if (demo) {
    await deliver(demo);
    console.log(
      `\nConnect as Alice, and watch ${SENDER}: she has written twice.`,
    );
  }
}
const missing = NEEDED.filter((name) => !environment[name]);
if (missing.length > 0) {
  end(
    1,
    `${missing.join(", ")} missing: take the line that cargo dev prints for programs`,
  );
} else {
  start(here, "node_modules/.bin/vite", [], { env: environment });
}
