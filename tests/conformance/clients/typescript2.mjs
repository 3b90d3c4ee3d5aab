// A conversation held by the TypeScript SDK of the generation 2.x, in the mode that the scene names.
// tests/conformance/foreign.py says what it is given as its argument and what it prints.

import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { converse } from "./conversation.mjs";

await converse(
  (scene) =>
    new Client(
      { name: "promises", version: "1" },
      { capabilities: { elicitation: {} }, versionNegotiation: { mode: scene.mode } },
    ),
  (server, { url, headers }) =>
    url
      ? new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } })
      : new StdioClientTransport(server),
  (client, answer) => client.setRequestHandler("elicitation/create", answer),
  (client, call, options) => client.callTool(call, options),
);
