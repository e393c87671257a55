#!/usr/bin/env node
/** `npx amused-edge`: draws pictures with a bundle, and writes them as PNG files with their parameters inside. */

import { access, constants, lstat, readFile, stat } from "node:fs/promises";
import { dirname, join, parse } from "node:path";
import { argv, exit, stderr } from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import {
  AmusedEdgeError,
  type GenerateOptions,
  type ImageSource,
  inpainting,
  OptionsError,
  optionsOf,
  rebuildTask,
  StateError,
  type Task,
  textToImage,
  variation,
} from "../index.js";
import { complain, say, UnprintedError, unprinted } from "./console.js";
import { openFolder } from "./index.js";
import { pngOf, readPng } from "./png.js";
import { writeWhole } from "./whole-file.js";

const HELP = `Usage: amused-edge generate BUNDLE [PROMPT]... [OPTIONS]

Draws pictures of each PROMPT with BUNDLE, a folder. What is not given comes from the bundle.

  -o, --output FILE    PNG file; with several pictures -0, -1, ... is put before .png
  --count N            pictures per prompt
  --seed N             of the random numbers (0)
  --first N            index of each prompt's first picture (0)
  --steps N            calls of the denoiser
  --guidance X         scale; above 1 it steers, at the cost of time
  --temperature T      of the confidences: T, or FIRST,LAST
  --schedule NAME      cosine or linear
  --order NAME         confidence or halton
  --negative TEXT      to steer away from
  --image FILE         PNG to start from: a variation
  --mask FILE          PNG, bright where --image is to be repainted
  --strength X         share of the steps (0.5, with a mask 1)
  --like FILE          draw a picture again, from its PNG
  --threads N          of the engine (one per core)
  --low-memory         load each graph just before use, drop it just after
  -q, --quiet          no progress, no summary
`;

const OPTIONS = {
  output: { type: "string", short: "o" },
  count: { type: "string" },
  seed: { type: "string" },
  first: { type: "string" },
  steps: { type: "string" },
  guidance: { type: "string" },
  temperature: { type: "string" },
  schedule: { type: "string" },
  order: { type: "string" },
  negative: { type: "string" },
  image: { type: "string" },
  mask: { type: "string" },
  strength: { type: "string" },
  like: { type: "string" },
  threads: { type: "string" },
  "low-memory": { type: "boolean" },
  quiet: { type: "boolean", short: "q" },
  help: { type: "boolean", short: "h" },
} as const;

const USAGE = 2;
const FAILED = 1;

/** The command was called in a way that it does not know. */
class UsageError extends Error {}

type Given = ReturnType<typeof parsed>["values"];

function parsed(given: readonly string[]) {
  try {
    return parseArgs({ args: [...given], options: OPTIONS, allowPositionals: true });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

/** Run the command; return its exit code, as Python's: 0 done, 1 failed, 2 wrong usage. */
export async function main(given: readonly string[]): Promise<number> {
  try {
    const { values, positionals } = parsed(given);
    if (values.help) {
      await say(HELP);
      return 0;
    }
    const [command, bundle, ...prompts] = positionals;
    if (command !== "generate" || bundle === undefined || (!prompts.length && values.like === undefined)) {
      throw new UsageError("give a bundle and a prompt: amused-edge generate BUNDLE PROMPT");
    }
    await generate(bundle, prompts, values);
    return 0;
  } catch (error) {
    if (error instanceof UnprintedError) {
      return unprinted(error);
    }
    const known = error instanceof AmusedEdgeError || error instanceof UsageError;
    complain(known ? error.message : String(error));
    const misused = [UsageError, OptionsError, StateError].some((kind) => error instanceof kind);
    return misused ? USAGE : FAILED;
  }
}

async function generate(folder: string, prompts: readonly string[], given: Given): Promise<void> {
  const { task, options } = given.like === undefined ? await asked(prompts, given) : await again(given.like, given);
  const names = fileNames(task, String(options.seed ?? 0), given.output);
  await checkFree(names);
  const threads = given.threads === undefined ? {} : { threads: whole("--threads", given.threads) };
  const pipeline = await openFolder(folder, { ...threads, keepGraphs: !given["low-memory"] });
  try {
    let place = 0;
    const onStep: GenerateOptions["onStep"] = (picture, { index, steps }) => {
      if (!given.quiet && stderr.isTTY) {
        stderr.write(`\rpicture ${picture + 1} of ${names.length}, step ${index + 1} of ${steps} `);
      }
    };
    for await (const picture of pipeline.pictures(task, { ...options, onStep })) {
      await writeWhole(names[place], pngOf(picture.image, picture.parameters));
      if (!given.quiet) {
        await say(`${stderr.isTTY ? "\r\n" : ""}${names[place]}\n`);
      }
      place++;
    }
  } finally {
    await pipeline.close();
  }
}

/** Return what the arguments ask for. */
async function asked(prompts: readonly string[], given: Given): Promise<{ task: Task; options: GenerateOptions }> {
  const common = {
    ...(given.negative !== undefined && { negativePrompts: given.negative }),
    ...(given.count !== undefined && { picturesPerPrompt: whole("--count", given.count) }),
    ...(given.first !== undefined && { firstPicture: big("--first", given.first) }),
  };
  const options = {
    ...(given.seed !== undefined && { seed: big("--seed", given.seed) }),
    ...(given.steps !== undefined && { steps: whole("--steps", given.steps) }),
    ...(given.guidance !== undefined && { guidanceScale: real("--guidance", given.guidance) }),
    ...(given.temperature !== undefined && { temperature: temperature(given.temperature) }),
    ...(given.schedule !== undefined && { schedule: given.schedule as "cosine" }), // checked with the rest
    ...(given.order !== undefined && { order: given.order as "halton" }),
  };
  const strength = given.strength === undefined ? {} : { strength: real("--strength", given.strength) };
  if (given.image === undefined) {
    if (given.mask !== undefined || given.strength !== undefined) {
      throw new UsageError("--mask and --strength need --image");
    }
    return { task: textToImage(prompts, common), options };
  }
  const image = await picture(given.image);
  const task =
    given.mask === undefined
      ? variation(prompts, image, { ...common, ...strength })
      : inpainting(prompts, image, await picture(given.mask), { ...common, ...strength });
  return { task, options };
}

/** Return the task and options of a picture that was drawn before. */
async function again(file: string, given: Given): Promise<{ task: Task; options: GenerateOptions }> {
  const { parameters } = readPng(await content(file));
  if (!parameters) {
    throw new OptionsError(`${file} does not say how it was drawn; only pictures that amused-edge wrote do`);
  }
  const image = given.image === undefined ? undefined : await picture(given.image);
  const mask = given.mask === undefined ? undefined : await picture(given.mask);
  return { task: rebuildTask(parameters, image, mask), options: optionsOf(parameters) };
}

async function picture(file: string): Promise<ImageSource> {
  try {
    return readPng(await content(file)).image;
  } catch (error) {
    throw new OptionsError(`picture ${file}: ${(error as Error).message}`);
  }
}

async function content(file: string): Promise<Uint8Array> {
  try {
    return await readFile(file);
  } catch (error) {
    throw new OptionsError(`${file} cannot be read: ${(error as Error).message}`);
  }
}

/** Return a file name for each picture of a task. */
function fileNames(task: Task, seed: string, output: string | undefined): string[] {
  const prompt = String(task.prompts[0]);
  const slug =
    prompt
      .toLowerCase()
      .match(/[\p{L}\p{N}]+/gu)
      ?.join("-")
      .slice(0, 60) ?? "picture";
  const { dir, name, ext } = parse(output ?? `${slug}-${seed}.png`);
  if (ext.toLowerCase() !== ".png") {
    throw new OptionsError(`${output} does not end in .png; pictures are written as PNG`);
  }
  const count = task.prompts.length * task.picturesPerPrompt;
  return Array.from({ length: count }, (_, i) => join(dir, count === 1 ? `${name}${ext}` : `${name}-${i}${ext}`));
}

/** Throw an `OptionsError` where pictures cannot be written: before they are drawn. */
async function checkFree(names: readonly string[]): Promise<void> {
  const folder = dirname(names[0] ?? "");
  const found = await stat(folder).catch((error: NodeJS.ErrnoException) => {
    const missing = error.code === "ENOENT" ? "does not exist; create it first" : `cannot be read: ${error.message}`;
    throw new OptionsError(`folder ${folder} ${missing}`);
  });
  if (!found.isDirectory()) {
    throw new OptionsError(`${folder} is a file, where a folder is needed; choose another one`);
  }
  await access(folder, constants.W_OK | constants.X_OK).catch(() => {
    throw new OptionsError(`folder ${folder} cannot be written to; choose another one`);
  });
  for (const name of names) {
    const taken = await lstat(name).then(
      () => "exists; choose another name or remove it",
      ({ code, message }: NodeJS.ErrnoException) =>
        code === "ENOENT" ? undefined : `cannot be written: ${message}; choose another name`,
    );
    if (taken) {
      throw new OptionsError(`${name} ${taken}`);
    }
  }
}

function temperature(text: string): number | [number, number] {
  const [first, last, more] = text.split(",").map((part) => real("--temperature", part));
  if (more !== undefined) {
    throw new UsageError(`--temperature is ${text}; give T, or FIRST,LAST`);
  }
  return last === undefined ? first : [first, last];
}

function big(name: string, text: string): bigint {
  if (!/^-?[0-9]+$/.test(text)) {
    throw new UsageError(`${name} is ${text}; give a whole number`);
  }
  return BigInt(text);
}

function whole(name: string, text: string): number {
  return Number(big(name, text));
}

function real(name: string, text: string): number {
  const value = Number(text);
  if (!text.trim() || Number.isNaN(value)) {
    throw new UsageError(`${name} is ${text}; give a number`);
  }
  return value;
}

if (argv[1] !== undefined && (await isThisFile(argv[1]))) {
  exit(await main(argv.slice(2)));
}

/** Say whether this file was called, if by a link as npm makes it. */
async function isThisFile(called: string): Promise<boolean> {
  const { realpath } = await import("node:fs/promises");
  return (await realpath(called)) === (await realpath(fileURLToPath(import.meta.url)));
}
