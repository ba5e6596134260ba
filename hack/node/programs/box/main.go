// The only program of the image localhost/fineline-node/box: a pod's sandbox (pause), and what tests of the node itself
// have pods do, for there is no shell in it.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const account = "/var/run/secrets/kubernetes.io/serviceaccount/"

var commands = map[string]func(arguments []string) error{
	"pause":    func([]string) error { return pause() },
	"sleep":    func(a []string) error { return sleep(a[0]) },
	"say":      func(a []string) error { fmt.Println(strings.Join(a, " ")); return nil },
	"user":     func([]string) error { fmt.Println(os.Getuid()); return nil },
	"variable": func(a []string) error { fmt.Println(os.Getenv(a[0])); return nil },
	"write":    func(a []string) error { return os.WriteFile(a[0], []byte(a[1]+"\n"), 0o644) },
	"get":      func(a []string) error { return get(a[0]) },
	"lookup":   func(a []string) error { return lookup(a[0]) },
	"connect":  func(a []string) error { return connect(a[0]) },
	"serve":    func(a []string) error { return serve(a[0]) },
}

// How many words those that need some need.
var needed = map[string]int{"sleep": 1, "variable": 1, "write": 2, "get": 1, "lookup": 1, "connect": 1, "serve": 1}

func main() {
	if len(os.Args) < 2 || commands[os.Args[1]] == nil || len(os.Args) < 2+needed[os.Args[1]] {
		fmt.Fprintln(os.Stderr, "box: pause | sleep SECONDS | say WORD... | user | variable NAME | write FILE TEXT | get URL |",
			"lookup NAME | connect HOST:PORT | serve PORT")
		os.Exit(2)
	}
	if err := commands[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "box:", err)
		os.Exit(1)
	}
}

// The sandbox is process 1 where a pod's containers share their processes: it also buries those without a parent.
func pause() error {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)
	children := make(chan os.Signal, 16)
	signal.Notify(children, syscall.SIGCHLD)
	for {
		select {
		case <-ended:
			return nil
		case <-children:
			for {
				if id, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); id <= 0 || err != nil {
					break
				}
			}
		}
	}
}

func sleep(seconds string) error {
	duration, err := time.ParseDuration(seconds + "s")
	if err != nil {
		return err
	}
	ended, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	select {
	case <-ended.Done():
		return fmt.Errorf("ended before %s s were over", seconds)
	case <-time.After(duration):
		return nil
	}
}

// An https address is asked as the pod's service account, which is what the API server wants.
func get(address string) error {
	client := http.Client{Timeout: 4 * time.Second}
	request, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	if strings.HasPrefix(address, "https:") {
		authority, err := os.ReadFile(account + "ca.crt")
		if err != nil {
			return err
		}
		token, err := os.ReadFile(account + "token")
		if err != nil {
			return err
		}
		trusted := x509.NewCertPool()
		trusted.AppendCertsFromPEM(authority)
		client.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted}}
		request.Header.Set("Authorization", "Bearer "+string(token))
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	fmt.Println(answer.StatusCode)
	_, err = io.Copy(os.Stdout, answer.Body)
	return err
}

func lookup(name string) error {
	addresses, err := net.LookupHost(name)
	if err != nil {
		return err
	}
	fmt.Println(strings.Join(addresses, " "))
	return nil
}

func connect(address string) error {
	connection, err := net.DialTimeout("tcp", address, 3*time.Second)
	if err != nil {
		return err
	}
	fmt.Println("connected")
	return connection.Close()
}

func serve(port string) error {
	if _, err := strconv.Atoi(port); err != nil {
		return err
	}
	return http.ListenAndServe(":"+port, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "served")
	}))
}
