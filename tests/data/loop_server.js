// An HTTP server on node's event loop: each request goes through a child process, a file that is read by a thread, a timer; a directory is
// watched. Arguments: the port and the directory.
'use strict';
const http = require('http');
const fs = require('fs');
const { spawn } = require('child_process');
const [port, directory] = process.argv.slice(2);
let number = 0, ticks = 0, changes = 0;
const child = spawn('cat', [], { stdio: ['pipe', 'pipe', 'ignore'] });
child.on('exit', () => process.exit(3));
fs.watch(directory, () => { changes++; });
setInterval(() => { ticks++; }, 10);
http.createServer((request, response) => {
  child.stdout.once('data', (echo) => {
    fs.readFile(`${directory}/file`, 'utf8', (error, file) => {
      setTimeout(() => {
        number++;
        response.end(error ? `${error}` : `${number} ${echo} ${file} ${ticks} ${changes}`);
      }, 1);
    });
  });
  child.stdin.write(request.url);
}).listen(Number(port), '127.0.0.1');
