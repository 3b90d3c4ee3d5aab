// The situations of tests/conformance/matrix, as clients of every generation of the TypeScript SDK for MCP play them;
// what differs between the generations is handed in.

import { writeFileSync } from "node:fs";

const PATIENCE = 60_000;

export async function converse(makeClient, makeTransport, onQuestion, callTool) {
  const scene = JSON.parse(process.argv[2]);
  const { prompts, cwd, is_shared: isShared } = scene;
  const complaints = [];
  const questions = [];
  let progress = 0;
  let told = () => {};

  async function connect() {
    const client = makeClient(scene);
    client.onerror = (error) => complaints.push(String(error.message));
    onQuestion(client, async ({ params }) => {
      questions.push(params.message);
      return params.message.includes("denied") ? { action: "decline" } : { action: "accept", content: {} };
    });
    const { command, args, environment: env } = scene;
    await client.connect(makeTransport({ command, args, env, cwd, stderr: "ignore" }, scene));
    return client;
  }

  const call = (client, name, args, signal) =>
    callTool(client, { name, arguments: args }, {
      signal,
      timeout: PATIENCE,
      onprogress: () => {
        progress += 1;
        told();
      },
    });

  async function reply(client, threadId, prompt, { fails = false, signal } = {}) {
    const result = await call(client, "codex-reply", { threadId, prompt }, signal);
    if (Boolean(result.isError) !== fails) throw new Error(JSON.stringify(result));
    return result;
  }

  const text = ({ content: [block] }) => block.text;
  const nextProgress = () => new Promise((resolve) => (told = resolve));

  async function close(client) {
    await client.transport?.terminateSession?.();
    await client.close();
  }

  const one = await connect();
  const other = await connect();
  const report = {
    // Over standard input and output, the generation 1.x does not tell it.
    version: one.getNegotiatedProtocolVersion?.() ?? one.transport?.protocolVersion ?? null,
    tools: (await one.listTools()).tools.map((tool) => tool.name).slice(0, 2),
  };

  const first = await call(one, "codex", { prompt: prompts.start, cwd });
  const thread = first.structuredContent.threadId;
  report.conversation = { thread, texts: [text(first), text(await reply(one, thread, prompts.reply))] };

  const confined = { cwd, "approval-policy": "on-request", sandbox: "workspace-write" };
  for (const prompt of [prompts.allowed, prompts.denied]) await call(one, "codex", { prompt, ...confined });
  report.approval = { questions };

  const giveUp = new AbortController();
  told = () => giveUp.abort("enough");
  const ended = await reply(one, thread, prompts.stall, { fails: true, signal: giveUp.signal }).then(
    text,
    (error) => String(error.message ?? error),
  );
  report.streaming = { pieces: progress }; // of a turn that goes on: what comes with a result may be dropped by the client
  told = () => {};
  report.interrupt = { ended, after: text(await reply(one, thread, prompts.reply)) };

  const died = await reply(one, thread, prompts.die, { fails: true });
  report["killed worker"] = { error: text(died), after: text(await reply(one, thread, prompts.reply)) };

  const running = nextProgress();
  const waiting = reply(one, thread, prompts.wait);
  await running;
  const second = reply(other, thread, prompts.reply, { fails: !isShared });
  await other.listTools();
  if (!isShared) await second;
  writeFileSync(scene.flag, "");
  report["two clients"] = {
    thread,
    waited: text(await waiting),
    [isShared ? "second" : "refused"]: text(await second),
  };

  await close(one);
  report.resumption = { text: text(await reply(other, thread, prompts.reply)) };
  await close(other);
  process.stdout.write(JSON.stringify({ ...report, complaints }) + "\n");
}
