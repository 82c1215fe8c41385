"use client";
// Puts one store of connections over the components below it.

import {
  createContext,
  useContext,
  useEffect,
  useMemo,
  useRef,
  type PropsWithChildren,
  type ReactElement,
} from "react";

import type { SessionSource } from "./session.js";
import { ConnectionStore } from "./store.js";
import { english, type Words } from "./words.js";

interface Shared {
  store: ConnectionStore;
  words: Words;
}

const Context = createContext<Shared | undefined>(undefined);

/** Settings of {@link GrantkeepProvider}. */
export interface GrantkeepProviderProps {
  /** Grantkeep's origin, its PUBLIC_URL. This page's origin must be there or in RETURN_TO_ORIGINS. */
  baseUrl: string;
  /**
   * Answers a session for the logged-in user, from the application's own server. Without it, the
   * user is whom Grantkeep's session cookie names, which browsers send only between pages of one
   * site (app.example.com and auth.example.com are one, example.com and example.net are not).
   */
  session?: SessionSource;
  /** Leaves the page for the provider's; `location.assign` when absent. */
  navigate?: (address: string) => void;
  /** Sentences to say otherwise. */
  words?: Partial<Words>;
}

/** Gives the buttons and hooks below it one list of connections. */
export function GrantkeepProvider(props: PropsWithChildren<GrantkeepProviderProps>): ReactElement {
  const { baseUrl, words, children } = props;
  // Inline functions are others at each render, and mean the same.
  const latest = useRef(props);
  useEffect(() => {
    latest.current = props;
  });
  const bySession = props.session !== undefined;
  const store = useMemo(() => {
    const session: SessionSource = () => latest.current.session?.() ?? "";
    const leave = (address: string) => window.location.assign(address);
    return new ConnectionStore({
      baseUrl,
      session: bySession ? session : undefined,
      navigate: (address) => (latest.current.navigate ?? leave)(address),
    });
  }, [baseUrl, bySession]);
  useEffect(() => store.start(), [store]);
  const shared = useMemo(() => ({ store, words: { ...english, ...words } }), [store, words]);
  return <Context.Provider value={shared}>{children}</Context.Provider>;
}

/** @internal */
export function useShared(): Shared {
  const shared = useContext(Context);
  if (shared === undefined) throw new Error("wrap this in <GrantkeepProvider baseUrl=…>");
  return shared;
}
