// An HTTP server on the descriptor that the command line names: says which process answers.
const http = require("http");

const server = http.createServer((request, response) => {
  response.setHeader("Content-Type", "text/plain");
  response.end(`node from ${process.pid}\n`);
});
server.listen({ fd: Number(process.argv[2]) });
process.on("SIGTERM", () => server.close());
