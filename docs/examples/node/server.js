// An HTTP server on the descriptor that the command line names.
const http = require("http");

const server = http.createServer((request, response) => response.end("hello from node\n"));
server.listen({ fd: Number(process.argv[2]) });
// Take no further connection, answer those that are open, and end.
process.on("SIGTERM", () => server.close());
