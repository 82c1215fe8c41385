// `@grantkeep/react`: a button and a hook over GET /api/connections.

export { ConnectButton, type ConnectButtonProps } from "./connect-button.js";
export { GrantkeepProvider, type GrantkeepProviderProps } from "./provider.js";
export { useConnections, type Connections } from "./use-connections.js";
export { GrantkeepError, type ErrorCode } from "./errors.js";
export { readOutcome, type Outcome } from "./outcome.js";
export type { SessionSource } from "./session.js";
export type { ConnectOptions, Snapshot } from "./store.js";
export type { Connection, ConnectionStatus, Disconnected } from "./types.js";
export { english, type Subject, type Words } from "./words.js";
