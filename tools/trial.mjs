/**
 * `deno run -A tools/trial.mjs MODULE`: trains and asks two small models with the weft of that module, and prints each loss to
 * the last bit. Package and sources must print the same.
 */

const module = process.argv[2] ?? '';
/** @type {typeof import('../src/index.ts')} */
const { compile, crossEntropy, init, manualSeed, models, optim, tensor } = await import(module);
await init();
manualSeed(1);
const length = 12;
const ids = Int32Array.from({ length: 2 * length + 1 }, (_, i) => (i * i) % 11);
const batch = (/** @type {number} */ from) => tensor(ids.slice(from, from + 2 * length), { shape: [2, length] });
const [x, y] = [batch(0), batch(1)];

const gpt = new models.GPT({ vocabularySize: 11, contextLength: length, layers: 1, heads: 2, width: 16, dropout: 0.1 });
const lstm = new models.CharRNN({ cell: 'lstm', vocabularySize: 11, embedding: 8, hidden: 12 });
for (const [name, model, logits] of /** @type {const} */ ([
  ['gpt', gpt, () => gpt.forward(x)],
  ['lstm', lstm, () => lstm.forward(x)],
])) {
  const optimizer = new optim.AdamW(model.parameters(), { lr: 1e-2 });
  const step = compile(() => {
    const loss = crossEntropy(logits(), y);
    loss.backward();
    optim.clipGradNorm(model.parameters(), 1);
    optimizer.step();
    optimizer.zeroGrad();
    return loss;
  });
  for (let i = 0; i < 4; i++) console.log(`${name} ${await (await step()).item()}`);
  for await (const ids of models.generate(model, { prompt: [1, 2], maxTokens: 4, topK: 3, seed: 5 }))
    console.log(`${name} ${ids}`);
}
