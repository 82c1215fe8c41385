// The browser's view of the user's connections: one list that all components share, and what
// changes it. No React in here.

import { GrantkeepError } from "./errors.js";
import { originOf, requestJson } from "./http.js";
import { readOutcome, type Outcome } from "./outcome.js";
import { Sessions, type SessionSource } from "./session.js";
import { readPage, type Connection, type Disconnected } from "./types.js";

/** Milliseconds that Grantkeep may take. */
const TIMEOUT = 15_000;
/** A user with more connections than this many pages of 200 is no user. */
const PAGES = 20;

/** Where Grantkeep is, and who the user is. */
export interface StoreOptions {
  /** Grantkeep's origin, its PUBLIC_URL. */
  baseUrl: string;
  /** Signed in by Grantkeep's own cookie when absent. */
  session?: SessionSource | undefined;
  /** Leaves the page. */
  navigate: (address: string) => void;
}

/** What components show. */
export interface Snapshot {
  /** Undefined until they were read for the first time. */
  readonly connections: readonly Connection[] | undefined;
  readonly loading: boolean;
  /** Why the list could not be read the last time. */
  readonly error: GrantkeepError | undefined;
  /** How the user came back from the provider, until it is dismissed. */
  readonly outcome: Outcome | undefined;
}

/** What is asked for with a consent. */
export interface ConnectOptions {
  /** The account to offer first; a connected one has to be the same again. */
  account?: string | undefined;
  /** Scopes besides the provider's own. */
  scope?: readonly string[] | undefined;
  /** Where the browser goes afterwards; this page when absent. */
  returnTo?: string | undefined;
}

const EMPTY: Snapshot = {
  connections: undefined,
  loading: true,
  error: undefined,
  outcome: undefined,
};

/** One for each pair of Grantkeep and user. */
export class ConnectionStore {
  private readonly origin: string;
  private readonly sessions: Sessions | undefined;
  private readonly navigate: (address: string) => void;
  private readonly listeners = new Set<() => void>();
  private snapshot = EMPTY;
  private reads = 0;

  constructor(options: StoreOptions) {
    this.origin = originOf(options.baseUrl, "baseUrl");
    this.navigate = options.navigate;
    this.sessions = options.session && new Sessions(options.session);
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  };

  readonly current = (): Snapshot => this.snapshot;

  readonly onServer = (): Snapshot => EMPTY;

  /** Begins in a browser: the outcome in the address, the list. The end is answered. */
  readonly start = (): (() => void) => {
    const read = readOutcome(window.location.href);
    if (read !== undefined) {
      window.history.replaceState(window.history.state, "", read.rest);
      this.change({ outcome: read.outcome });
    }
    // Back from the provider by the browser's own button: the page is shown as it was left.
    const shownAgain = (event: PageTransitionEvent) => void (event.persisted && this.refresh());
    window.addEventListener("pageshow", shownAgain);
    void this.refresh();
    return () => window.removeEventListener("pageshow", shownAgain);
  };

  /** Reads the list again; never throws, the error is in the snapshot. */
  readonly refresh = async (): Promise<void> => {
    const read = ++this.reads;
    this.change({ loading: true });
    try {
      const connections = await this.list();
      if (read === this.reads) this.change({ connections, loading: false, error: undefined });
    } catch (error) {
      if (read === this.reads) this.change({ loading: false, error: known(error) });
    }
  };

  /** Deletes a connection; what is gone already counts as deleted. Throws GrantkeepError. */
  readonly disconnect = async (id: string): Promise<Disconnected> => {
    try {
      const done = await this.delete(id);
      this.change({
        connections: this.snapshot.connections?.filter((connection) => connection.id !== id),
        outcome: undefined,
      });
      await this.refresh();
      return done;
    } catch (error) {
      throw known(error);
    }
  };

  /** Sends the browser to the provider's consent page. Throws GrantkeepError. */
  readonly connect = async (provider: string, options: ConnectOptions = {}): Promise<void> => {
    try {
      this.navigate(await this.consentAddress(provider, options));
    } catch (error) {
      throw known(error);
    }
  };

  /** Forgets the outcome. */
  readonly dismiss = (): void => this.change({ outcome: undefined });

  private async consentAddress(provider: string, options: ConnectOptions): Promise<string> {
    const address = new URL(`/api/oauth/${encodeURIComponent(provider)}/authorize`, this.origin);
    const returnTo = new URL(options.returnTo ?? window.location.href, window.location.href);
    address.searchParams.set("return_to", returnTo.href);
    if (options.account !== undefined) address.searchParams.set("account", options.account);
    if (options.scope?.length) address.searchParams.set("scope", options.scope.join(" "));
    if (this.sessions) address.searchParams.set("session", await this.sessions.fresh());
    return address.href;
  }

  private async list(): Promise<Connection[]> {
    const all: Connection[] = [];
    let next: string | undefined;
    for (let page = 0; page < PAGES; page += 1) {
      const query = new URLSearchParams({ limit: "200" });
      if (next !== undefined) query.set("cursor", next);
      const answer = readPage(await this.ask("GET", `/api/connections?${query}`));
      all.push(...answer.connections);
      next = answer.next;
      if (next === undefined) break;
    }
    return all;
  }

  private async delete(id: string): Promise<Disconnected> {
    try {
      const { revoked, reason } = await this.ask(
        "DELETE",
        `/api/connections/${encodeURIComponent(id)}`,
      );
      return { revoked: revoked === true, reason: typeof reason === "string" ? reason : null };
    } catch (error) {
      if (error instanceof GrantkeepError && error.code === "not_connected") {
        return { revoked: false, reason: "already_gone" };
      }
      throw error;
    }
  }

  private async ask(method: string, path: string): Promise<Record<string, unknown>> {
    // A header and the cookie in one request are refused, so the cookie stays at home.
    const init: RequestInit = this.sessions
      ? {
          method,
          credentials: "omit",
          headers: { authorization: `Bearer ${await this.sessions.current()}` },
        }
      : { method, credentials: "include" };
    return requestJson({ fetch, url: this.origin + path, init, timeout: TIMEOUT });
  }

  private change(part: Partial<Snapshot>): void {
    this.snapshot = { ...this.snapshot, ...part };
    for (const listener of this.listeners) listener();
  }
}

/** What a session source throws is the application's own, and no code of ours. */
function known(error: unknown): GrantkeepError {
  if (error instanceof GrantkeepError) return error;
  const detail = "the application did not give a session";
  return new GrantkeepError({ code: "unauthorized", detail }, { cause: error });
}
