import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;

/** A small HTTP server on the socket that is its standard input. */
public class Hello {
    public static void main(String[] arguments) throws Exception {
        ServerSocketChannel server = (ServerSocketChannel) System.inheritedChannel();
        byte[] answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 16\r\n\r\nhello from java\n".getBytes();
        while (true) {
            try (SocketChannel client = server.accept()) {
                client.read(ByteBuffer.allocate(65536));
                client.write(ByteBuffer.wrap(answer));
            }
        }
    }
}
