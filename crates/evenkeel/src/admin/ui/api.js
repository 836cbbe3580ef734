// The way to the nodes: each is asked at its own address, so that a node that is cut off still shows what it holds.

let token = sessionStorage.getItem("evenkeel-token") || "";

export class Refused extends Error {}

export function setToken(text) {
  token = text;
  sessionStorage.setItem("evenkeel-token", text);
}

// Asks one node. `base` is "" for the node that served this page, else "http://host:port".
export async function ask(base, path, body) {
  const headers = {};
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const response = await fetch(`${base}/api/v1/${path}`, {
    method: body === undefined ? "GET" : "POST",
    headers,
    body: body === undefined ? undefined : JSON.stringify(body),
    signal: AbortSignal.timeout(4000),
  });
  const answer = await response.json();
  if (response.status === 401) throw new Refused(answer.error);
  if (!response.ok) throw new Error(answer.error || response.statusText);
  return answer;
}

// Where a node is asked. One that has not told its address yet is not asked.
export function baseOf(node, me) {
  if (node.name === me) return "";
  return node.http ? `${location.protocol}//${node.http}` : null;
}
