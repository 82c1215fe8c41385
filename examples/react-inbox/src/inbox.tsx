// Which sender is watched, and the messages that were found.

import { useCallback, useEffect, useState, type FormEvent } from "react";

import { ask } from "./grantkeep";

interface Message {
  id: string;
  sender: string;
  subject: string | null;
  snippet: string | null;
  received_at: string;
}

interface Watch {
  id: string;
  query: string;
}

export function Inbox({ connection }: { connection: string }) {
  const [watches, setWatches] = useState<Watch[]>([]);
  const [messages, setMessages] = useState<Message[]>();
  const [problem, setProblem] = useState<string>();

  const attempt = useCallback(async (what: () => Promise<void>) => {
    setProblem(undefined);
    try {
      await what();
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error));
    }
  }, []);

  const read = useCallback(async () => {
    const query = `connection_id=${connection}`;
    const watched = await ask<{ watches: Watch[] }>(
      `/api/gmail/watches?${query}`,
    );
    const found = await ask<{ messages: Message[] }>(
      `/api/gmail/messages?${query}`,
    );
    setWatches(watched.watches);
    setMessages(found.messages);
  }, [connection]);

  useEffect(() => void attempt(read), [attempt, read]);

  const watch = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const sender = String(new FormData(event.currentTarget).get("sender"));
    void attempt(async () => {
      await ask("/api/gmail/watches", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ connection_id: connection, sender }),
      });
      await look();
    });
  };

  // Deployed, the schedule does this.
  const look = async () => {
    const answer = await fetch("/api/look-for-mail", { method: "POST" });
    if (!answer.ok) throw new Error("the worker cannot be reached");
    await read();
  };

  return (
    <>
      <form onSubmit={watch}>
        <label htmlFor="sender">Watch a sender</label>
        <input
          id="sender"
          name="sender"
          type="email"
          required
          placeholder="ann@sender.example"
        />
        <button>Watch</button>
        {watches.length > 0 && (
          <button type="button" onClick={() => void attempt(look)}>
            Look for mail now
          </button>
        )}
      </form>
      {problem && <p role="alert">{problem}</p>}
      {watches.length > 0 && (
        <p>Watching {watches.map(({ query }) => query).join(", ")}</p>
      )}
      {messages?.length === 0 && <p>No messages so far.</p>}
      <ul className="inbox">
        {messages?.map((message) => (
          <li key={message.id}>
            <strong>{message.subject ?? "(no subject)"}</strong>
            <span>{message.sender}</span>
            <time dateTime={message.received_at}>
              {new Date(message.received_at).toLocaleString()}
            </time>
            <p>{message.snippet}</p>
          </li>
        ))}
      </ul>
    </>
  );
}
