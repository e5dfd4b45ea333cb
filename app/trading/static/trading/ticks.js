"use strict";

const VISIBLE_TICKS = 20;
const RECONNECT_MILLISECONDS = 3000;

const connection = document.getElementById("connection");
const ticks = document.getElementById("ticks");

function show(tick) {
  const line = document.createElement("li");
  line.textContent = `${tick.time} ${tick.symbol} ${tick.price ?? ""}`;
  ticks.prepend(line);
  while (ticks.children.length > VISIBLE_TICKS) {
    ticks.lastElementChild.remove();
  }
}

function connect() {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const socket = new WebSocket(`${scheme}://${location.host}/ws/ticks/`);
  socket.onopen = () => { connection.textContent = "connected"; };
  socket.onmessage = (event) => show(JSON.parse(event.data));
  socket.onclose = () => {
    connection.textContent = "connecting";
    setTimeout(connect, RECONNECT_MILLISECONDS);
  };
}

connect();
