"use client";
// The hook: the list, and what can be done with it.

import { useSyncExternalStore } from "react";

import { useShared } from "./provider.js";
import type { ConnectionStore, Snapshot } from "./store.js";

/** What {@link useConnections} answers. */
export interface Connections extends Snapshot {
  /** Reads the list again; a failure is in `error`. */
  refresh: ConnectionStore["refresh"];
  /** Deletes a connection and revokes it at the provider where that ends nothing else. */
  disconnect: ConnectionStore["disconnect"];
  /** Leaves this page for the provider's consent page. */
  connect: ConnectionStore["connect"];
  /** Forgets `outcome`. */
  dismiss: ConnectionStore["dismiss"];
}

/** The user's connections. All components below one provider share one list. */
export function useConnections(): Connections {
  const { store } = useShared();
  const snapshot = useSyncExternalStore(store.subscribe, store.current, store.onServer);
  const { refresh, disconnect, connect, dismiss } = store;
  return { ...snapshot, refresh, disconnect, connect, dismiss };
}
