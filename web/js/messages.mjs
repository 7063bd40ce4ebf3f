// What nodes say when a run fails or has a note, in the user's language, where a panel shows it. The log and ComfyUI's own
// dialog keep the English. A template is a whole sentence of the nodes', with {0}, {1}, ... for what differs.

import { language } from "./words.mjs";
import { MESSAGES_TW } from "./words_tw.mjs";

export const MESSAGES_ZH = {
  "guidance {0} of {1} ({2}): {3}": "第 {0} 个引导，共 {1} 个（{2}）：{3}",
  "'{0}' is not a class of {1}.{2} Numbers from 0 to {3} work too": "“{0}”不是 {1} 的类别。{2}也可以填 0 到 {3} 的编号",
  " Did you mean: {0}?": "您是否要：{0}？",
  "class {0} is out of range: {1} has classes 0 to {2}": "类别 {0} 超出范围：{1} 的类别为 0 到 {2}",
  "the class condition was made for a model of {0} classes, but {1} has {2}: connect both nodes to the same AR Load Checkpoint": "类别条件是为有 {0} 个类别的模型制作的，而 {1} 有 {2} 个：请把两个节点接到同一个“AR 加载 Checkpoint”",
  "{0} is a {1} model and reads text, not classes: use {2} instead": "{0} 是 {1} 模型，读取文本而不是类别：请改用 {2}",
  "this {0} model makes no images of {1}x{2} pixels; nearest: {3}": "此 {0} 模型不能生成 {1}x{2} 像素的图像；最接近的：{3}",
  "{0} is {1}, but must lie between {2} and {3}": "{0} 为 {1}，但必须在 {2} 与 {3} 之间",
  "{0} must be a finite number, not {1}": "{0} 必须是有限的数，而不是 {1}",
  "{0}: {1} receives nothing: connect it, or give it a value": "{0}：{1} 没有收到任何内容：请连接它，或给它一个值",
  "the list of {0} numbers was fitted to this model's {1} steps": "{0} 个数的列表已按此模型的 {1} 步换算",
  "{0} temperatures are listed, but this model takes {1} steps: give {2} numbers, or none": "列出了 {0} 个温度，而此模型有 {1} 步：请给出 {2} 个数，或不填",
  "schedule 'list' needs one number per step, for example: 1, 2, 3": "调度“list”每一步需要一个数，例如：1, 2, 3",
  "'{0}' is not a list of numbers: write one per step, for example 1, 2.5, 4": "“{0}”不是数值列表：每一步写一个，例如 1, 2.5, 4",
  "start {0} and end {1} must satisfy 0 <= start <= end <= 1": "起点 {0} 和终点 {1} 必须满足 0 <= 起点 <= 终点 <= 1",
  "between start {0} and end {1} of the run lies none of this model's {2} steps, so this guidance would never act: widen the interval, or remove the node": "运行的起点 {0} 与终点 {1} 之间没有此模型 {2} 步中的任何一步，因此这个引导不会起作用：请放宽区间，或移除该节点",
  "the model's authors guide from {0} to {1} of the run, and this guidance acts from {2} to {3}: choose a schedule other than '{4}', for example 'constant', or another interval": "模型作者在运行的 {0} 到 {1} 之间引导，而这个引导在 {2} 到 {3} 之间起作用：请选择“{4}”以外的调度（例如“constant”），或另一个区间",
  "{0} both change how the unconditional branch sees earlier tokens: keep one of them": "{0} 都会改变无条件分支对先前 token 的所见：请只保留一个",
  "two guidances mix the branches behind the same block, and only one can: remove one of them, or give it another depth": "两个引导在同一个块之后混合分支，而只能有一个：请移除其中一个，或给它另一个深度",
  "a next-token model has one nudge per step, so there is nothing for attention to average: use CFG or SoftCFG": "逐 token 的模型每步只有一个引导偏移，注意力没有可平均的内容：请用 CFG 或 SoftCFG",
  "this model cannot mix branches inside; use AR Guidance: CFG": "此模型不能在内部混合分支；请用“AR 引导：CFG”",
  "depth {0} must be less than the model's {1} blocks": "深度 {0} 必须小于模型的 {1} 个块",
  "it fades tokens out of a model's memory (its key/value cache), and this model keeps none between its scales: use CFG, IGG or SSG here": "它使 token 从模型的记忆（键/值缓存）中淡出，而此模型在尺度之间没有记忆：这里请用 CFG、IGG 或 SSG",
  "it fades earlier tokens out of a model's memory (its key/value cache), and a discrete diffusion model reads all tokens again at every step: use CFG, IGG or SSG here": "它使先前的 token 从模型的记忆（键/值缓存）中淡出，而离散扩散模型每一步都重新读取所有 token：这里请用 CFG、IGG 或 SSG",
  "at temperature 0 the likeliest token is taken, so there is nothing to mix: set smooth to 'off'": "温度为 0 时取最可能的 token，没有可混合的内容：请把“平滑”设为“off”",
  "a {0} model has no code vectors to mix at each scale: set smooth to 'off'": "{0} 模型没有可在各尺度混合的码向量：请把“平滑”设为“off”",
  "a {0} model has no code vectors to mix at each step: set smooth to 'off'": "{0} 模型没有可在各步混合的码向量：请把“平滑”设为“off”",
  "a list of temperatures is for scale-wise models; this one draws all tokens alike: leave it empty": "温度列表用于逐尺度模型；此模型对所有 token 一视同仁：请留空",
  "this {0} model keeps no keys and values from step to step: set cache of AR Sampler to 'full'": "此 {0} 模型不在各步之间保留键和值：请把“AR 采样器”的缓存精度设为“full”",
  "seeds: '{0}' is not a seed: give whole numbers from 0 to {1}, with commas between them; 7:3 is the third image of seed 7": "种子列表：“{0}”不是种子：请填 0 到 {1} 的整数，用逗号分隔；7:3 是种子 7 的第三张图像",
  "reroll: '{0}' is not an image of this batch: its {1} images have the numbers 1 to {2} (one number, or a range such as 5-7)": "重画：“{0}”不是这一批的图像：{1} 张图像的编号为 1 到 {2}（一个编号，或如 5-7 的范围）",
  "only_rerolled is on, but reroll names no image: write its number, or switch it off": "“只生成重画的图”已开启，但“重画”没有指明图像：请填写编号，或关闭它",
  "the mask is": "遮罩",
  "the mask covers": "遮罩",
  "{0} empty, so nothing would change: paint white what to generate again (a mask from an image's alpha channel may have to be inverted)": "{0}是空的，因此什么也不会改变：请把要重画的部分涂成白色（来自图像透明通道的遮罩可能需要反转）",
  "{0} the whole image, so there is nothing around it to fill it from: set under_mask to '{1}', leave part of the image unmasked, or take AR Inpaint out to draw all of it again": "{0}覆盖整张图像，周围没有可用来填充的内容：请把“遮罩下的内容”设为“{1}”，留出一部分不遮，或移除“AR 局部重绘”以重画整张图像",
  "connect the image to change: an image, its tokens, or both": "请连接要修改的图像：图像、它的 token，或两者",
  "this run already keeps tokens of an image: use one AR Keep Scales, AR Inpaint or AR Outpaint per AR Decode. To vary an in-painting at fixed layout, lower AR Inpaint's variation": "这次运行已经保留了一张图像的 token：每个“AR 解码”只能用一个“AR 保留尺度”、“AR 局部重绘”或“AR 扩图”。要在布局不变的情况下改变重绘结果，请降低“AR 局部重绘”的变化程度",
  "AR Compare needs at least two runs: connect another guidance chain, or the images of another AR Decode": "“AR 比较”至少需要两次运行：请再连接一条引导链，或另一个“AR 解码”的图像",
  "labels has {0} lines for {1} runs: write one line for each run, in order": "标签有 {0} 行，而运行有 {1} 次：请按顺序为每次运行写一行",
  "there is no guidance scale to find: connect a CFG, IGG, mix or SoftCFG node between AR Sampler and AR Find Scale": "没有可寻找的引导强度：请在“AR 采样器”与“AR 寻找引导强度”之间连接 CFG、IGG、混合或 SoftCFG 节点",
  "the last guidance ({0}) takes its scale of every step from a list, so there is no one scale to find: choose another schedule": "最后一个引导（{0}）每一步的强度来自列表，因此没有单一的强度可找：请选择另一种调度",
  "the guidance changes nothing here, so no scale is better than another: with 'no class' both predictions are the same. Choose a class": "引导在这里不改变任何东西，各种强度没有优劣：“no class”时两个预测相同。请选择一个类别",
  "the guidance is off on every scale of the model but the first, so there is nothing to measure: widen its start and end": "除第一个尺度外，引导在模型的每个尺度上都关闭，没有可测量的内容：请放宽它的起点和终点",
  "min_scale ({0}) must be smaller than max_scale ({1})": "最小强度（{0}）必须小于最大强度（{1}）",
  "a search needs at least 4 probes of at least 1 image": "一次搜索至少需要 4 次探测，每次至少 1 张图像",
  "Evenness and divergence meet at scale {0} (between {1} and {2}; 9 in 10 resamplings of {3} images: {4} to {5}).": "均匀度与差异度在强度 {0} 处相等（{1} 与 {2} 之间；{3} 张图像重新抽取，十次中有九次在 {4} 到 {5} 之间）。",
  "Evenness and divergence meet at scale {0} (between {1} and {2}).": "均匀度与差异度在强度 {0} 处相等（{1} 与 {2} 之间）。",
  "Within noise: {0} The crossing at scale {1} is not a sure result.": "在噪声之内：{0}强度 {1} 处的交点不是确定的结果。",
  "when the {0} images are resampled, the curves meet in only {1} of cases: measure more images.": "重新抽取这 {0} 张图像时，曲线只在 {1} 的情况下相交：请测量更多图像。",
  "resampling the {0} images moves the meeting point between {1} and {2}; about {3} images would settle it.": "重新抽取这 {0} 张图像时，交点在 {1} 与 {2} 之间变动；约需 {3} 张图像才能确定。",
  "{0} images with a subject are too few to tell a meeting point from chance: measure more.": "有主体的图像只有 {0} 张，太少，无法区分交点与偶然：请测量更多。",
  "the scales around it were probed too coarsely: raise the number of probes.": "其附近的强度探测得太粗：请增加探测次数。",
  "the decoded images are not finite numbers, so there is nothing to show: the image tokenizer's file may be damaged, or half precision too narrow for it": "解码出的图像不是有限的数，没有可显示的内容：图像分词器的文件可能已损坏，或半精度对它太窄",
};

const TABLES = { zh: compiled(MESSAGES_ZH), "zh-TW": compiled(MESSAGES_TW) };

/** Templates as patterns: whole messages, and what stands at every place. */
function compiled(words) {
  return Object.entries(words).map(([english, said]) => {
    const order = [...english.matchAll(/\{(\d+)\}/g)].map(([, at]) => at);
    const pattern = english.split(/\{\d+\}/).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("(.*?)");
    return { pattern: new RegExp(`^${pattern}$`, "s"), order, said };
  });
}

/** A message in the user's language; as it is where there are no words for it. */
export function sayMessage(text) {
  return translated(text, TABLES[language()] ?? []) ?? text;
}

/** A message, and what is quoted within it; null if no template fits. What stands before a colon, as the name of a guidance, stays. */
function translated(text, table) {
  for (const { pattern, order, said } of table) {
    const found = text.match(pattern);
    if (!found) continue;
    const parts = Object.fromEntries(order.map((at, place) => [at, translated(found[place + 1], table) ?? found[place + 1]]));
    return said.replace(/\{(\d+)\}/g, (_, at) => parts[at]);
  }
  const [, name, rest] = text.match(/^([^:]+): (.+)$/s) ?? [];
  const said = rest ? translated(rest, table) : null;
  return said === null ? null : `${name}：${said}`;
}
