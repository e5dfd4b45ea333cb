"use strict";

const RECONNECT_MILLISECONDS = 3000;
// As in consumers.py.
const SESSION_ENDED = 4401;

const connection = document.getElementById("connection");
const marked = document.getElementById("marked");

function say(state) {
  connection.dataset.state = state;
  connection.textContent = state;
}

function showNumbers(key, numbers) {
  const row = document.querySelector(`tr[data-position="${key}"]`);
  // A position that was opened after this page was made.
  if (!row) return;
  for (const cell of row.querySelectorAll("[data-field]")) {
    const number = numbers[cell.dataset.field];
    if (number === undefined) continue;
    const text = number.toFixed(2);
    cell.classList.toggle("changed", cell.textContent !== text);
    cell.textContent = text;
  }
}

function moveSpot(key, price) {
  const diagram = document.querySelector(`svg[data-position="${key}"]`);
  if (!diagram) return;
  const { low, high } = diagram.dataset;
  const x = (diagram.viewBox.baseVal.width * (price - low)) / (high - low);
  const line = diagram.querySelector(".spot");
  line.setAttribute("x1", x);
  line.setAttribute("x2", x);
}

function show(update) {
  marked.dateTime = update.time;
  marked.textContent = new Date(update.time).toLocaleTimeString();
  for (const [key, numbers] of Object.entries(update.positions ?? {})) {
    showNumbers(key, numbers);
    moveSpot(key, numbers.price);
  }
  if (update.net) showNumbers("net", update.net);
}

function connect() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const socket = new WebSocket(`${scheme}://${location.host}/ws/positions/`);
  socket.onopen = () => say("live");
  socket.onmessage = (event) => show(JSON.parse(event.data));
  socket.onclose = (event) => {
    if (event.code === SESSION_ENDED) location.reload();
    say("connecting");
    setTimeout(connect, RECONNECT_MILLISECONDS);
  };
}

connect();
