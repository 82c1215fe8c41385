// The application's page.

import { createRoot } from "react-dom/client";

import { ConnectButton, GrantkeepProvider, useConnections } from "../../src/index.js";

declare global {
  interface Window {
    settings: { grantkeep: string; bySession: boolean };
  }
}

const { grantkeep, bySession } = window.settings;
const session = async () => (await fetch("/session")).text();

function List() {
  const { connections, loading, error, outcome } = useConnections();
  return (
    <>
      <p id="standing">{loading ? "loading" : (error?.code ?? "read")}</p>
      <p id="outcome">{outcome?.status}</p>
      <ul>
        {connections?.map(({ id, provider, account, status }) => (
          <li key={id}>{`${provider} ${account} ${status}`}</li>
        ))}
      </ul>
    </>
  );
}

createRoot(document.getElementById("app") as HTMLElement).render(
  <GrantkeepProvider baseUrl={grantkeep} {...(bySession && { session })}>
    <ConnectButton provider="gmail" />
    <List />
  </GrantkeepProvider>,
);
