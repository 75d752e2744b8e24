// What a Go program can ask of its host: the same as probe.c, with goroutines and timers, which are its own.
//
//	GOOS=wasip1 GOARCH=wasm go build -o probe.wasm probe.go
package main

import (
	"crypto/rand"
	"fmt"
	"io"
	"math"
	mathrand "math/rand"
	"os"
	"time"
)

func deep(n int) int {
	if n < 0 {
		return 0
	}
	return deep(n+1)*3 ^ n
}

func main() {
	fmt.Println("args", os.Args, "env", os.Environ())
	input, err := io.ReadAll(os.Stdin)
	fmt.Printf("stdin %q %v\n", input, err)

	began := time.Now()
	ticks := make(chan int)
	for number := 0; number < 3; number++ {
		go func() {
			time.Sleep(time.Duration(3-number) * time.Second)
			ticks <- number
		}()
	}
	fmt.Println("woke", <-ticks, <-ticks, <-ticks, "after", time.Since(began).Round(time.Millisecond))
	fmt.Println("time", time.Now().UTC().Format(time.RFC3339))
	random := make([]byte, 8)
	rand.Read(random)
	fmt.Printf("random %x %d\n", random, mathrand.Int())
	for key := range map[string]int{"a": 1, "b": 2, "c": 3, "d": 4, "e": 5} {
		fmt.Print(key, " ") // in a random order on an ordinary host
	}
	zero := float64(len(os.Args)) * 0
	fmt.Printf("nan %016x\n", math.Float64bits(zero/zero))

	entries, err := os.ReadDir("/reference")
	for _, entry := range entries {
		info, _ := entry.Info()
		fmt.Print(entry.Name(), " ", info.Size(), " ", info.ModTime().UTC().Year(), "; ")
	}
	fmt.Println(err)
	fmt.Println(os.MkdirAll("/outputs/made/here", 0o777), os.WriteFile("/outputs/made/here/file", []byte("written by Go\n"), 0o666))
	fmt.Println(os.WriteFile("/reference/new", nil, 0o666))

	switch {
	case len(os.Args) > 1 && os.Args[1] == "panic":
		panic("on purpose")
	case len(os.Args) > 1 && os.Args[1] == "deep":
		fmt.Println(deep(len(entries)))
	case len(os.Args) > 1 && os.Args[1] == "deadlock":
		<-make(chan int)
	}
	os.Exit(6)
}
