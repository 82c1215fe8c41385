"use client";
// The button: connects, says how the connection stands, puts it right, and disconnects.

import { useEffect, useId, useState, type CSSProperties, type ReactElement } from "react";

import { stateOf } from "./connection-state.js";
import { DisconnectButton } from "./disconnect-button.js";
import type { GrantkeepError } from "./errors.js";
import { useShared } from "./provider.js";
import * as style from "./style.js";
import { useConnections } from "./use-connections.js";
import { nameOf, type Subject, type Words } from "./words.js";

/** Settings of {@link ConnectButton}. */
export interface ConnectButtonProps {
  /** Such as `gmail`. */
  provider: string;
  /** The provider as people call it; made from `provider` when absent. */
  name?: string;
  /** Only this account; any when absent. */
  account?: string;
  /** Scopes that the page needs besides the provider's own. */
  scope?: readonly string[];
  /** Where the browser comes back to; this page when absent. */
  returnTo?: string;
  /** Whether a Disconnect button is there too; true when absent. */
  disconnect?: boolean;
  disabled?: boolean;
  /** Of the element around it, beside `grantkeep`; `data-state` tells how things stand. */
  className?: string;
  /** Of the element around it. */
  style?: CSSProperties;
  /** Leaves out every style of its own: then `grantkeep-…` classes are all there is. */
  unstyled?: boolean;
}

/** Connects one provider for the logged-in user, and shows how that connection stands. */
export function ConnectButton(props: ConnectButtonProps): ReactElement {
  const { provider, account, scope = [], disabled = false, unstyled = false } = props;
  const { words } = useShared();
  const { connections, error, outcome, connect } = useConnections();
  const [leaving, setLeaving] = useState(false);
  const [failed, setFailed] = useState<GrantkeepError>();
  const message = useId();

  // Pages that are shown again by the browser's Back button are as they were left.
  useEffect(() => {
    const shown = () => setLeaving(false);
    window.addEventListener("pageshow", shown);
    return () => window.removeEventListener("pageshow", shown);
  }, []);

  const { state, connection, missing } = stateOf(connections, { provider, account, scope });
  const subject: Subject = {
    name: props.name ?? nameOf(provider),
    account: connection?.account ?? account,
    missing,
  };
  const refused = outcome?.provider === provider ? outcome.error : undefined;
  const failure = failed?.code ?? error?.code ?? refused;
  const label = mainLabel(state, words);
  const says = statement(state, words);

  const leave = () => {
    setLeaving(true);
    setFailed(undefined);
    const wanted = {
      account: state === "connect" ? account : connection?.account,
      scope: [...new Set([...scope, ...missing])],
      returnTo: props.returnTo,
    };
    connect(provider, wanted).catch((error: unknown) => {
      setLeaving(false);
      setFailed(error as GrantkeepError);
    });
  };

  const look = (own: CSSProperties) => (unstyled ? undefined : own);
  return (
    <span
      className={["grantkeep", props.className].filter(Boolean).join(" ")}
      data-provider={provider}
      data-state={failure !== undefined && state !== "connected" ? "error" : state}
      style={{ ...look(style.box), ...props.style }}
    >
      {label && (
        <button
          type="button"
          className="grantkeep-button"
          style={look({ ...style.main, ...((disabled || leaving) && style.waiting) })}
          disabled={disabled}
          aria-disabled={leaving || undefined}
          aria-busy={leaving || undefined}
          aria-describedby={message}
          onClick={leaving ? undefined : leave}
        >
          {leaving ? words.redirecting(subject) : label(subject)}
        </button>
      )}
      <span id={message} className="grantkeep-message" role="status">
        {says?.(subject)}
      </span>
      {failure !== undefined && (
        <span className="grantkeep-error" role="alert" style={look(style.alert)}>
          {words.failed(failure, subject)}
        </span>
      )}
      {connection && props.disconnect !== false && (
        <DisconnectButton
          id={connection.id}
          subject={subject}
          disabled={disabled}
          look={look(style.quiet)}
          onFailed={setFailed}
        />
      )}
    </span>
  );
}

/** What pressing it does; nothing where all is well. */
function mainLabel(state: ReturnType<typeof stateOf>["state"], words: Words) {
  switch (state) {
    case "loading":
    case "connect":
    case "pending":
      return words.connect;
    case "insufficient_scope":
      return words.allowMore;
    case "reconnect":
      return words.reconnect;
    case "connected":
      return undefined;
  }
}

/** How things stand; nothing where the button says it all. */
function statement(state: ReturnType<typeof stateOf>["state"], words: Words) {
  switch (state) {
    case "loading":
    case "connect":
      return undefined;
    case "pending":
      return words.waits;
    case "insufficient_scope":
      return words.needsScopes;
    case "reconnect":
      return words.needsReconnect;
    case "connected":
      return words.connected;
  }
}
