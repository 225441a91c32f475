"""A supervisor under asyncio: python loop.py"""

import asyncio
from pathlib import Path

from twisted.internet import asyncioreactor


async def main(loop: asyncio.AbstractEventLoop) -> None:
    from circustwist.embedding import Settings, Socket, Supervisor, Watcher, stack

    command = f"python3 {Path(__file__).with_name('worker.py')} $(circus.sockets.web)"
    supervisor = Supervisor(stack(
        Settings(name="looped"), Socket("web", host="127.0.0.1", port=0),
        Watcher("web", cmd=command, use_sockets=True)))
    supervisor.startService()
    await supervisor.ready("web").asFuture(loop)
    reader, writer = await asyncio.open_connection("127.0.0.1", supervisor.socket("web").port)
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    print((await reader.read()).decode())
    writer.close()
    await supervisor.stopService().asFuture(loop)


loop = asyncio.new_event_loop()
asyncioreactor.install(loop)
loop.run_until_complete(main(loop))
