// go-redis against both faces: go run . STANDALONE_PORT CLUSTER_PORT
package main

import (
	"context"
	"fmt"
	"os"
	"sync"

	"github.com/redis/go-redis/v9"
)

const keys = 1000

func check(ok bool, format string, args ...any) {
	if !ok {
		fmt.Printf("FAILED "+format+"\n", args...)
		os.Exit(1)
	}
}

func roundTrip(ctx context.Context, name string, client redis.UniversalClient) {
	for n := 0; n < keys; n++ {
		err := client.Set(ctx, fmt.Sprintf("%s:%d", name, n), n, 0).Err()
		check(err == nil, "%s set: %v", name, err)
	}
	for n := 0; n < keys; n++ {
		got, err := client.Get(ctx, fmt.Sprintf("%s:%d", name, n)).Int()
		check(err == nil && got == n, "%s get: %v %v", name, got, err)
	}
}

func main() {
	ctx := context.Background()
	standalone, cluster := "127.0.0.1:"+os.Args[1], "127.0.0.1:"+os.Args[2]

	single := redis.NewClient(&redis.Options{Addr: standalone})
	roundTrip(ctx, "go", single)
	fmt.Printf("ok go-redis standalone: %d keys\n", keys)

	many := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{cluster}})
	roundTrip(ctx, "go-cluster", many)
	var lock sync.Mutex
	nodes := map[string]bool{}
	err := many.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
		lock.Lock()
		defer lock.Unlock()
		nodes[node.Options().Addr] = true
		return node.Ping(ctx).Err()
	})
	check(err == nil && len(nodes) >= 3, "knows %v: %v", nodes, err)
	fmt.Printf("ok go-redis cluster: %d keys over %d nodes\n", keys, len(nodes))

	reads := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{cluster}, RouteRandomly: true})
	roundTrip(ctx, "go-replicas", reads)
	fmt.Printf("ok go-redis cluster, any replica: %d keys\n", keys)
}
