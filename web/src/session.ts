// The session that the host application's server signs, kept while it is good.

/** Answers a session (docs/api.md#sessions), usually by asking the application's own server. */
export type SessionSource = () => string | Promise<string>;

/** Milliseconds before its end at which a session is not used any more. */
const MARGIN = 10_000;

/** Asks the source once for all who wait, and again when the session is about to end. */
export class Sessions {
  private kept: { session: string; until: number } | undefined;
  private asked: Promise<string> | undefined;

  constructor(private readonly source: SessionSource) {}

  /** One that is still good. */
  async current(): Promise<string> {
    if (this.kept !== undefined && this.kept.until - MARGIN > Date.now()) return this.kept.session;
    return this.fresh();
  }

  /** A new one, for addresses: these end up in logs, so what is in them should end soon. */
  async fresh(): Promise<string> {
    this.asked ??= this.ask().finally(() => (this.asked = undefined));
    return this.asked;
  }

  private async ask(): Promise<string> {
    const session = await this.source();
    this.kept = { session, until: endOf(session) };
    return session;
  }
}

/** When a JWT ends, in milliseconds; for what cannot be read, never good for a second time. */
function endOf(jwt: string): number {
  try {
    const claims = (jwt.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/");
    const end: unknown = (JSON.parse(atob(claims)) as { exp?: unknown }).exp;
    return typeof end === "number" ? end * 1000 : 0;
  } catch {
    return 0;
  }
}
