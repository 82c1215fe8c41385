// The page: connect Gmail, watch a sender, read what came.

import {
  ConnectButton,
  GrantkeepProvider,
  useConnections,
} from "@grantkeep/react";
import { createRoot } from "react-dom/client";

import { GRANTKEEP, session } from "./grantkeep";
import { Inbox } from "./inbox";

function Page() {
  const { connections } = useConnections();
  const gmail = connections?.find(
    ({ provider, status }) => provider === "gmail" && status === "active",
  );
  return (
    <main>
      <h1>Inbox</h1>
      <ConnectButton provider="gmail" />
      {gmail && <Inbox connection={gmail.id} />}
    </main>
  );
}

createRoot(document.getElementById("app") as HTMLElement).render(
  <GrantkeepProvider baseUrl={GRANTKEEP} session={session}>
    <Page />
  </GrantkeepProvider>,
);
