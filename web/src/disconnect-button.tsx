"use client";
// Disconnects in two steps, because it cannot be taken back.

import { useEffect, useRef, useState, type CSSProperties, type ReactElement } from "react";

import type { GrantkeepError } from "./errors.js";
import { useShared } from "./provider.js";
import type { Subject } from "./words.js";

interface DisconnectButtonProps {
  id: string;
  subject: Subject;
  disabled: boolean;
  look: CSSProperties | undefined;
  onFailed: (error: GrantkeepError) => void;
}

/** Asks, then disconnects. */
export function DisconnectButton(props: DisconnectButtonProps): ReactElement {
  const { id, subject, disabled, look } = props;
  const { store, words } = useShared();
  const [step, setStep] = useState<"offer" | "ask" | "busy">("offer");
  const [target, before] = [useRef<HTMLButtonElement>(null), useRef(step)];

  // The button that had the focus is gone, and people without a mouse must not lose their
  // place. It goes to what does no harm.
  useEffect(() => {
    if (before.current !== step && step !== "busy") target.current?.focus();
    before.current = step;
  }, [step]);

  const disconnect = () => {
    setStep("busy");
    store.disconnect(id).catch((error: unknown) => {
      setStep("offer");
      props.onFailed(error as GrantkeepError);
    });
  };

  if (step === "ask") {
    return (
      <>
        <button type="button" className="grantkeep-disconnect" style={look} onClick={disconnect}>
          {words.reallyDisconnect(subject)}
        </button>
        <button
          type="button"
          className="grantkeep-keep"
          style={look}
          onClick={() => setStep("offer")}
          ref={target}
        >
          {words.keep(subject)}
        </button>
      </>
    );
  }
  return (
    <button
      type="button"
      className="grantkeep-disconnect"
      style={look}
      disabled={disabled || step === "busy"}
      aria-busy={step === "busy" || undefined}
      onClick={() => setStep("ask")}
      ref={target}
    >
      {step === "busy" ? words.disconnecting(subject) : words.disconnect(subject)}
    </button>
  );
}
