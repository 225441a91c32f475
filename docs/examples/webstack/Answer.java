import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;

/** A small HTTP server on the socket that is its standard input: says which process answers. */
public class Answer {
    public static void main(String[] arguments) throws Exception {
        ServerSocketChannel server = (ServerSocketChannel) System.inheritedChannel();
        String body = "java from " + ProcessHandle.current().pid() + "\n";
        String head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " + body.length() + "\r\n\r\n";
        byte[] answer = (head + body).getBytes(StandardCharsets.US_ASCII);
        while (true) {
            try (SocketChannel client = server.accept()) {
                client.read(ByteBuffer.allocate(65536));
                client.write(ByteBuffer.wrap(answer));
            }
        }
    }
}
