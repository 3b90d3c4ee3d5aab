// A conversation held by the TypeScript SDK of the generation 1.x.
// tests/conformance/foreign.py says what it is given as its argument and what it prints.

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { ElicitRequestSchema } from "@modelcontextprotocol/sdk/types.js";
import { converse } from "./conversation.mjs";

await converse(
  (scene) => new Client({ name: "promises", version: "1" }, { capabilities: { elicitation: {} } }),
  (server, { url, headers }) =>
    url
      ? new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } })
      : new StdioClientTransport(server),
  (client, answer) => client.setRequestHandler(ElicitRequestSchema, answer),
  (client, call, options) => client.callTool(call, undefined, options),
);
