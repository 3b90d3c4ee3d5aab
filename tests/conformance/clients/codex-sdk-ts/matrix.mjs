// The situations of tests/conformance/matrix, as the official TypeScript SDK for `codex exec` plays them, unchanged.

import { writeFileSync } from "node:fs";
import { Codex } from "@openai/codex-sdk";

const scene = JSON.parse(process.argv[2]);
const { prompts } = scene;
const makeClient = () => new Codex({ codexPathOverride: scene.program, env: scene.environment });
const free = { workingDirectory: scene.cwd, skipGitRepoCheck: true, sandboxMode: "danger-full-access" };
const confined = { ...free, sandboxMode: "workspace-write", approvalPolicy: "on-request" };
const [one, other] = [makeClient(), makeClient()];
const report = {};

// Runs a turn, and returns its events and how it has ended; `onEvent` may do something meanwhile.
async function stream(thread, prompt, onEvent = () => {}, signal = undefined) {
  const told = [];
  try {
    const { events } = await thread.runStreamed(prompt, { signal });
    for await (const event of events) {
      told.push(event);
      await onEvent(event);
    }
  } catch (error) {
    return { told, error };
  }
  return { told, text: told.findLast((event) => event.item?.type === "agent_message")?.item.text };
}

const thread = one.startThread(free);
const first = await thread.run(prompts.start);
const second = await stream(thread, prompts.reply);
report.conversation = { thread: thread.id, texts: [first.finalResponse, second.text] };
report.streaming = { pieces: second.told.filter((event) => event.type.startsWith("item.")).length };

for (const prompt of [prompts.allowed, prompts.denied]) await one.startThread(confined).run(prompt);
report.approval = { questions: [] };

const controller = new AbortController();
const abort = (event) => event.type === "turn.started" && controller.abort();
const { error: ended } = await stream(thread, prompts.stall, abort, controller.signal);
report.interrupt = { ended: ended.name, after: (await thread.run(prompts.reply)).finalResponse };

const died = await stream(thread, prompts.die);
report["killed worker"] = {
  error: `${died.error.message} ${died.told.at(-1).error.message}`,
  after: (await thread.run(prompts.reply)).finalResponse,
};

let refused;
const waited = await stream(thread, prompts.wait, async (event) => {
  if (event.type !== "item.started") return;
  const meanwhile = await stream(other.resumeThread(thread.id, free), prompts.reply);
  refused = `${meanwhile.error?.message} ${meanwhile.told.map((line) => line.error?.message ?? line.message)}`;
  writeFileSync(scene.flag, "");
});
report["two clients"] = { thread: thread.id, waited: waited.text, refused };
report.resumption = { text: (await other.resumeThread(thread.id, free).run(prompts.reply)).finalResponse };

console.log(JSON.stringify(report));
