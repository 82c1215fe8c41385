// How the button looks without a style sheet: inline, with a CSS variable for each choice.

import type { CSSProperties } from "react";

/** The box around all of it. */
export const box: CSSProperties = {
  display: "inline-flex",
  flexWrap: "wrap",
  alignItems: "center",
  gap: "0.5em 0.75em",
  font: "var(--grantkeep-font, inherit)",
};

const button: CSSProperties = {
  font: "inherit",
  lineHeight: 1.25,
  padding: "var(--grantkeep-padding, 0.5em 1em)",
  borderRadius: "var(--grantkeep-radius, 0.375em)",
  borderWidth: "1px",
  borderStyle: "solid",
  cursor: "pointer",
};

/** The button that connects. */
export const main: CSSProperties = {
  ...button,
  color: "var(--grantkeep-color, #fff)",
  background: "var(--grantkeep-background, #1a56c4)",
  borderColor: "var(--grantkeep-border, transparent)",
};

/** Buttons beside it. */
export const quiet: CSSProperties = {
  ...button,
  color: "var(--grantkeep-quiet-color, inherit)",
  background: "var(--grantkeep-quiet-background, transparent)",
  borderColor: "var(--grantkeep-quiet-border, currentColor)",
};

/** While nothing can be pressed. */
export const waiting: CSSProperties = { opacity: 0.65, cursor: "default" };

/** What went wrong. */
export const alert: CSSProperties = { color: "var(--grantkeep-error, #b3261e)" };
