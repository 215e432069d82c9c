// The built-in page: the small web sites of v0: what is asked for, and where the result can be tried.
"use strict";

// The chat of a job: also where v0 asked something and made no site.
function chatOf(job) {
  const { site, upstream = {} } = job;
  if (site && site.chat) return site.chat;
  return job.backend === "v0" && !upstream.phase ? (upstream.task_id || "").split("/")[0] : "";
}

// The chats of the jobs on the page, the newest first, each once.
function knownChats() {
  const shown = [...find("list").children].map((item) => jobs.get(item.dataset.id)).filter(Boolean);
  const chats = new Map();
  for (const { job } of shown) {
    const chat = chatOf(job);
    if (chat && !chats.has(chat)) chats.set(chat, (job.site && job.site.title) || title(job));
  }
  return chats;
}

function showSite() {
  setOptions(find("v0-model"), [["", "as v0 chooses"], ...named("v0")]);
  showChats();
}

function showChats() {
  const chats = knownChats();
  const text = JSON.stringify([...chats]);
  const list = find("known-chat");
  if (list.dataset.chats !== text) {
    list.dataset.chats = text;
    list.replaceChildren(...[...chats].map(([chat, name]) => element("option", name, { value: chat })));
  }
  const chosen = find("chat").value.trim();
  const name = chats.get(chosen);
  const told = name ? `“${name}”. ` : "";
  setText(find("chat-hint"), chosen ? `${told}Without a prompt its files are fetched, which costs nothing.` : "");
}

async function readSite() {
  const body = { prompt: find("prompt").value };
  for (const id of ["chat", "system", "privacy"]) {
    const text = find(id).value.trim();
    if (text) body[id] = text;
  }
  if (find("v0-model").value) body.model = find("v0-model").value;
  const references = await images.read();
  if (references.length) body.images = references;
  return body;
}

function continueChat(chat) {
  find("backend").value = "v0";
  find("chat").value = chat;
  find("prompt").value = "";
  touched = true;
  changeTask();
  find("prompt").focus();
}

// What a service says is an address may be anything; only one of the web becomes a link.
function webLink(address, text) {
  let url;
  try {
    url = new URL(address);
  } catch {
    return null;
  }
  if (url.protocol !== "https:" && url.protocol !== "http:") return null;
  return element("a", `${text} (${url.host})`, { href: url.href, target: "_blank", rel: "noopener noreferrer" });
}

function renderSite(box, site) {
  const told = JSON.stringify(site || null);
  if (box.dataset.told === told) return;
  box.dataset.told = told;
  const { title: name, demo_url: demo, web_url: chat } = site || {};
  const links = [demo && webLink(demo, "Try the site"), chat && webLink(chat, "The chat at v0")].filter(Boolean);
  box.replaceChildren(...(name ? [element("strong", name)] : []), ...links);
  box.hidden = !box.childElementCount;
}

find("chat").addEventListener("input", showChats);
