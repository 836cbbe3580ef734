import java.util.Set;
import redis.clients.jedis.HostAndPort;
import redis.clients.jedis.JedisCluster;
import redis.clients.jedis.JedisPooled;
import redis.clients.jedis.UnifiedJedis;

/** Jedis against both faces: mvn -q compile exec:java -Dexec.args="STANDALONE_PORT CLUSTER_PORT". */
public final class Check {
    private static final int KEYS = 1000;

    public static void main(String[] args) {
        String host = "127.0.0.1";
        try (JedisPooled client = new JedisPooled(host, Integer.parseInt(args[0]))) {
            roundTrip("jedis", client);
            System.out.println("ok Jedis standalone: " + KEYS + " keys");
        }
        Set<HostAndPort> nodes = Set.of(new HostAndPort(host, Integer.parseInt(args[1])));
        try (JedisCluster client = new JedisCluster(nodes)) {
            roundTrip("jedis-cluster", client);
            int known = client.getClusterNodes().size();
            if (known < 3) {
                throw new AssertionError("knows " + client.getClusterNodes().keySet());
            }
            System.out.println("ok Jedis cluster: " + KEYS + " keys over " + known + " nodes");
        }
    }

    private static void roundTrip(String name, UnifiedJedis client) {
        for (int n = 0; n < KEYS; n++) {
            client.set(name + ":" + n, Integer.toString(n));
        }
        for (int n = 0; n < KEYS; n++) {
            String got = client.get(name + ":" + n);
            if (!Integer.toString(n).equals(got)) {
                throw new AssertionError(name + ":" + n + " is " + got);
            }
        }
    }
}
