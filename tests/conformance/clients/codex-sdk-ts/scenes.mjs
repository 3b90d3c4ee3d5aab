// Scenes played by the official TypeScript SDK for `codex exec`, unchanged.
// tests/conformance/exec/sdk.py says what it is given as its argument and what it prints.

import { Codex } from "@openai/codex-sdk";

const scene = JSON.parse(process.argv[2]);
const codex = new Codex({
  codexPathOverride: scene.program,
  env: scene.environment,
  ...(scene.api_key && { apiKey: scene.api_key }),
  ...(scene.config && { config: scene.config }),
});
const options = { workingDirectory: scene.cwd, skipGitRepoCheck: true, ...scene.options };

const scenes = {
  async run() {
    const thread = codex.startThread(options);
    const first = await thread.run(scene.prompts[0]);
    const second = await thread.run(scene.prompts[1]);
    return {
      thread: thread.id,
      kinds: first.items.map((item) => item.type),
      responses: [first.finalResponse, second.finalResponse],
      usages: [first.usage, second.usage],
    };
  },

  async stream() {
    const { events } = await codex.startThread(options).runStreamed(scene.prompts[0]);
    const told = [];
    for await (const event of events) told.push(event);
    return { told };
  },

  async resume() {
    const thread = codex.resumeThread(scene.thread, options);
    const turn = await thread.run(scene.prompts[0]);
    return { thread: thread.id, response: turn.finalResponse };
  },

  async structured() {
    const turn = await codex.startThread(options).run(scene.prompts[0], { outputSchema: scene.schema });
    return { answer: JSON.parse(turn.finalResponse) };
  },

  async images() {
    const input = [{ type: "text", text: scene.prompts[0] }, ...scene.images.map((path) => ({ type: "local_image", path }))];
    const thread = codex.startThread(options);
    const first = await thread.run(input);
    const second = await thread.run(input);
    return { responses: [first.finalResponse, second.finalResponse] };
  },

  // Aborts the turn as soon as the model has said something.
  async abort() {
    const controller = new AbortController();
    const thread = codex.startThread(options);
    const { events } = await thread.runStreamed(scene.prompts[0], { signal: controller.signal });
    const told = [];
    try {
      for await (const event of events) {
        told.push(event.type);
        if (event.type === "turn.started") controller.abort();
      }
    } catch (error) {
      return { thread: thread.id, told, error: error.name };
    }
    return { thread: thread.id, told };
  },

  async fail() {
    try {
      await codex.startThread(options).run(scene.prompts[0]);
    } catch (error) {
      return { error: error.message };
    }
    return {};
  },

  // Has `scene.kill` executed once the turn has started, which kills the worker.
  async killed() {
    const { execFileSync } = await import("node:child_process");
    const thread = codex.startThread(options);
    const { events } = await thread.runStreamed(scene.prompts[0]);
    const told = [];
    let error = null;
    try {
      for await (const event of events) {
        told.push(event);
        if (event.type === "item.started") execFileSync(scene.kill[0], scene.kill.slice(1));
      }
    } catch (thrown) {
      error = thrown.message;
    }
    const again = await thread.run(scene.prompts[1]);
    return { thread: thread.id, told, error, response: again.finalResponse };
  },
};

console.log(JSON.stringify(await scenes[scene.scene]()));
