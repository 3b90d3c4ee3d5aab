// The scene that every generation of the TypeScript SDK plays; what differs between them is handed in.

const PATIENCE = 20_000;

export async function converse(makeClient, makeTransport, onQuestion, callTool) {
  const scene = JSON.parse(process.argv[2]);
  const client = makeClient(scene);
  const complaints = [];
  const questions = [];
  let progress = 0;
  let told = () => {};

  client.onerror = (error) => complaints.push(String(error.message));
  onQuestion(client, async ({ params }) => {
    questions.push(params.message);
    return { action: "accept", content: {} };
  });

  const call = (name, args, signal) =>
    callTool(client, { name, arguments: args }, {
      signal,
      timeout: PATIENCE,
      onprogress: () => {
        progress += 1;
        told();
      },
    });

  const { command, args, environment: env, cwd } = scene;
  await client.connect(makeTransport({ command, args, env, cwd, stderr: "ignore" }, scene));
  const { tools } = await client.listTools();
  const first = await call("codex", { prompt: scene.first, "approval-policy": "untrusted" });
  const threadId = first.structuredContent.threadId;
  const reply = await call("codex-reply", { threadId, prompt: scene.reply });

  const giveUp = new AbortController();
  told = () => giveUp.abort("enough");
  const givenUp = await call("codex-reply", { threadId, prompt: scene.given_up }, giveUp.signal).then(
    () => "answered",
    (error) => String(error.message ?? error),
  );
  told = () => {};
  const last = await call("codex-reply", { threadId, prompt: scene.reply });

  const version = client.getNegotiatedProtocolVersion?.() ?? client.transport?.protocolVersion ?? null;
  await client.transport?.terminateSession?.();
  await client.close();
  const names = tools.map((tool) => tool.name);
  const report = { version, tools: names, first, reply, given_up: givenUp, last, questions, progress, complaints };
  process.stdout.write(JSON.stringify(report) + "\n");
}
