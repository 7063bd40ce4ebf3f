// What the panels say, in the language of the frontend's settings. English is the key, and what is said in languages
// without a table here.

import { app } from "../../../scripts/app.js";
import { WORDS_TW } from "./words_tw.mjs";

const TABLES = {
  zh: {
    auto: "自动",
    "styles…": "风格…",
    styles: "风格",
    "named settings of sampler and guidance": "命名的采样与引导设置",
    "name of a new style": "新风格的名称",
    "save these settings": "保存当前设置",
    "add from a file…": "从文件添加…",
    delete: "删除",
    crisp: "清晰",
    soft: "柔和",
    "paper: IGG d30": "论文：IGG d30",
    "Clear shapes and colours, less variety": "形状与颜色清晰，变化较少",
    "Likely codes are mixed: smooth areas, little texture": "混合可能的编码：画面平滑，纹理较少",
    "VAR-d30 with IGG, arXiv 2509.23876, Table 2": "VAR-d30 与 IGG，arXiv 2509.23876，表 2",
    "Your styles are in {0} in ComfyUI's user folder: share that file.": "您的风格保存在 ComfyUI 用户文件夹的 {0} 中：可分享该文件。",
    "Style '{0}' is set.": "已应用风格“{0}”。",
    "Give the style a name.": "请为风格命名。",
    "No AR Sampler is wired before this node.": "此节点之前没有连接 AR 采样器。",
    "There is no guidance called {0} in this version.": "此版本中没有名为 {0} 的引导。",
    "{0} has no setting '{1}'.": "{0} 没有设置项“{1}”。",
    "'{0}' of {1} comes from a link and stays.": "{1} 的“{0}”来自连线，保持不变。",
    "{0}: '{1}' cannot be {2}.": "{0}：“{1}”不能为 {2}。",
    "{0} is not valid JSON. Fix it, or move it away.": "{0} 不是有效的 JSON。请修正或移走该文件。",
    "{0} holds no styles of AR Guidance.": "{0} 中没有 AR Guidance 的风格。",
    "{0} was written by a newer version of AR Guidance. Update to use it.": "{0} 由更新版本的 AR Guidance 写入。请更新后使用。",
    "{0} entries of {1} cannot be read and are left as they are.": "{1} 中有 {0} 个条目无法读取，保持原样。",
    "{0} cannot be read ({1}).": "无法读取 {0}（{1}）。",
    "{0} cannot be written ({1}).": "无法写入 {0}（{1}）。",
    "The styles cannot be read: {0}": "无法读取风格：{0}",
    "The styles cannot be written: {0}": "无法写入风格：{0}",
    "Run: the images appear here.": "运行后图像显示在此处。",
    "Run: what was chosen appears here.": "运行后，选中的内容显示在此处。",
    image: "图像",
    "image {0}": "第 {0} 张图像",
    "image {0} of {1}": "第 {0} 张图像，共 {1} 张",
    "images {0}–{1} of {2}": "第 {0}–{1} 张图像，共 {2} 张",
    "step {0} of {1}": "第 {0} 步，共 {1} 步",
    "about {0} s": "约剩 {0} 秒",
    "trying scale {0}": "正在尝试引导强度 {0}",
    "seed {0}": "种子 {0}",
    "Run: the scales that are tried appear here.": "运行后，试过的引导强度显示在此处。",
    "scales tried so far: {0}": "已试过的引导强度：{0}",
    "scale {0}: evenness {1}, divergence {2}": "引导强度 {0}：均匀度 {1}，差异度 {2}",
    "nothing tried yet": "尚未尝试",
    divergence: "差异度",
    "Run: the images appear here, one over the other.": "运行后图像叠放显示在此处。",
    "line between left and right": "左右图像之间的分界线",
    left: "左",
    right: "右",
    "{0} more on the sheet": "对比图上还有 {0} 张",
    "stopped before the first result": "在得到第一个结果之前已停止",
    "sample again": "重新采样",
    "draw this image again with another seed; the others stay": "用另一个种子重新绘制这张图像，其余不变",
    vary: "变化",
    "keep its coarse scales and draw the details again, beside the old image": "保留粗尺度，重新绘制细节，结果放在旧图旁边",
    "in-paint here": "局部重绘",
    "mark a part of the image and draw it again": "标出图像的一部分并重新绘制",
    "in-paint what is marked": "重绘标出的部分",
    cancel: "取消",
    "keep this seed": "保留此种子",
    "use the seed that made this image in the next runs": "之后的运行沿用生成这张图像的种子",
    "Seed {0} could not be set: no AR Sampler before this node takes it. Does a link give its seed?": "无法设置种子 {0}：此节点之前没有可用的“AR 采样器”。它的种子是否由连线给出？",
    "The images of this run cannot be shown here: another version of AR Guidance made them.": "此次运行的图像无法在此显示：它们由另一个版本的 AR Guidance 生成。",
    "use last seed {0}": "使用上次的种子 {0}",
    "last seed {0}": "上次的种子 {0}",
    "earlier seeds…": "之前的种子…",
    "earlier seeds": "之前的种子",
    "seeds of the last runs, to be used again": "最近运行的种子，可再次使用",
    "No seed has been used yet in this browser.": "此浏览器中还没有用过种子。",
    "image is gone": "图像已不存在",
    "of another model: {0}": "来自另一个模型：{0}",
    "look inside": "查看内部",
    "hide the inside": "隐藏内部",
    smooth: "平滑放大",
    pixels: "像素放大",
    "how a small image is enlarged": "小图像的放大方式",
    "image in full size": "查看原尺寸图像",
    "Only the first images of a run can be looked into.": "只能查看一次运行中前几张图像的内部。",
    "token {0}, {1} %": "token {0}，{1} %",
    drawn: "已抽取",
    "run {0}": "第 {0} 次运行",
    "running: step {0} of {1}, {2}": "运行中：第 {0} 步，共 {1} 步，{2}",
    "scale {0} of {1}, {2}×{3} tokens": "第 {0} 个尺度，共 {1} 个，{2}×{3} 个 token",
    "row {0} of {1}": "第 {0} 行，共 {1} 行",
    "{0}: off": "{0}：关闭",
    "token row {0}, column {1}": "token：第 {0} 行，第 {1} 列",
    "{0} (blue), {1} (green), 0 to 1": "{0}（蓝）、{1}（绿），0 到 1",
    "before guidance": "引导前",
    "after guidance": "引导后",
    "This model's tokens are bits: no candidates to list.": "该模型的 token 由比特组成：没有候选可列。",
    "no map": "不显示图",
    scale: "尺度",
    map: "图",
    opacity: "不透明度",
    evenness: "均匀度",
    entropy: "熵",
    nudge: "引导差",
    added: "引导合计",
    confidence: "置信度",
    attention: "注意力",
    "{0} direction": "{0} 方向",
    cfg: "CFG",
    igg: "IGG",
    softcfg: "SoftCFG",
    "{0} steps, {1}": "{0} 步，{1}",
    off: "关闭",
    "the model decides; run to see how": "由模型决定；运行后显示",
    ", as in the last run": "，同上次运行",
    ", drawn in 'curve'": "，由 'curve' 绘制",
    ", too many to drag": "，步数过多，无法拖动",
    ", as the model's authors chose": "，按模型作者的设定",
    ", fitted to the model's {0}": "，按模型的 {0} 步换算",
    "{0} comes from a link": "{0} 来自连线",
    "{0} come from links": "{0} 来自连线",
    "values: '{0}' is not a number": "values：“{0}”不是数字",
    "step {0}: {1}": "第 {0} 步：{1}",
    "guidance adds up to {0}": "引导合计为 {0}",
    "times the nudge, at the step where this node and those before it are strongest together": "以引导差的倍数计，取本节点与之前各节点合起来最强的一步",
    "strength of every step": "每一步的强度",
    "strength of step {0}": "第 {0} 步的强度",
    "draw fewer steps": "减少绘制的步数",
    "draw more steps": "增加绘制的步数",
    "search the bundled model's classes": "搜索自带模型的类别",
    "choose from images (bundled model)…": "从图片中选择（自带模型）…",
    "No class of the bundled model is called '{0}'.": "自带模型没有名为“{0}”的类别。",
    close: "关闭",
    "The list of classes could not be loaded; type names into 'classes' instead.": "无法加载类别列表；请在“多个类别”中直接输入名称。",
  },
};

TABLES["zh-TW"] = WORDS_TW; // made from the other by tools/traditional.py

/** The user's language, of those that have words here: for "zh-CN" that is "zh", if there is no closer one. */
export function language() {
  const locale = String(app.extensionManager?.setting?.get?.("Comfy.Locale") ?? "en");
  return [locale, locale.split("-")[0]].find((name) => Object.hasOwn(TABLES, name)) ?? "en";
}

/** A text in the user's language, with {0}, {1}, … replaced by the values. */
export function say(text, ...values) {
  const words = TABLES[language()] ?? {};
  const said = Object.hasOwn(words, text) ? words[text] : text;
  return said.replace(/\{(\d+)\}/g, (place, at) => values[at] ?? place);
}

/** The name of a map in the user's language, by its parts: "igg 2 direction" is IGG, its number, and what is shown. */
export function sayMap(name) {
  const [, first, number = "", direction] = name.match(/^(.+?)( \d+)?( direction)?$/);
  const said = say(first) + number;
  return direction ? say("{0} direction", said) : said;
}
