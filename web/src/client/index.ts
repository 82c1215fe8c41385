// `@grantkeep/react/client`: for servers, where a service key can be kept. Nothing of React, and
// nothing but `fetch` and Web Crypto: Node, Vercel's and other edge runtimes, AWS Lambda.

import { fetchWithToken } from "./fetch.js";
import {
  Tokens,
  type AccessToken,
  type AskOptions,
  type ClientOptions,
  type TokenRequest,
} from "./tokens.js";

export { GrantkeepError, type ErrorCode } from "../errors.js";
export { signSession, type SessionRequest } from "./sign-session.js";
export type { AccessToken, AskOptions, ClientOptions, TokenRequest } from "./tokens.js";

/** Tokens of one Grantkeep. */
export interface Client {
  /** A token that works. Throws GrantkeepError; `needsUser` tells whether `connectUrl` helps. */
  accessToken(wanted: TokenRequest, options?: AskOptions): Promise<AccessToken>;
  /** `fetch` with the connection's token; a 401 of the API refreshes it and tries once more. */
  fetchWithToken(wanted: TokenRequest, input: string | URL, init?: RequestInit): Promise<Response>;
}

/** A client; without options, of the environment's GRANTKEEP_URL and GRANTKEEP_KEY. */
export function createClient(options: ClientOptions = {}): Client {
  const tokens = new Tokens(options);
  return {
    accessToken: (wanted, ask) => tokens.accessToken(wanted, ask),
    fetchWithToken: (wanted, input, init) =>
      fetchWithToken(tokens, options.fetch ?? fetch, wanted, input, init),
  };
}

/** {@link Client.accessToken} of the environment's Grantkeep. */
export function accessToken(wanted: TokenRequest, options?: AskOptions): Promise<AccessToken> {
  return createClient().accessToken(wanted, options);
}
