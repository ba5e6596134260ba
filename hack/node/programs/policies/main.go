// Enforces NetworkPolicies on a single node: keeps a table of the node's firewall (nftables) as the policies, pods and
// namespaces of the API server would have it. For a test bed of one node with IPv4; see rules.go for what it reads out
// of a policy.
package main

import (
	"bytes"
	"flag"
	"log"
	"os"
	"os/exec"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

// Changes come in bunches (a pod is written five times until it runs): one write for all of this time.
const together = 50 * time.Millisecond

func main() {
	kubeconfig := flag.String("kubeconfig", "", "how the API server is reached")
	flag.Parse()
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		log.Fatal(err)
	}
	factory := informers.NewSharedInformerFactory(kubernetes.NewForConfigOrDie(config), 0)
	pods := factory.Core().V1().Pods()
	namespaces := factory.Core().V1().Namespaces()
	policies := factory.Networking().V1().NetworkPolicies()

	changed := make(chan struct{}, 1)
	tell := func(any) {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	handler := cache.ResourceEventHandlerFuncs{AddFunc: tell, UpdateFunc: func(_, after any) { tell(after) }, DeleteFunc: tell}
	for _, informer := range []cache.SharedIndexInformer{pods.Informer(), namespaces.Informer(), policies.Informer()} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			log.Fatal(err)
		}
	}
	factory.Start(nil)
	factory.WaitForCacheSync(nil)

	var written string
	for range changed {
		time.Sleep(together)
		seen := cluster{}
		var errs [3]error
		seen.pods, errs[0] = pods.Lister().List(labels.Everything())
		seen.namespaces, errs[1] = namespaces.Lister().List(labels.Everything())
		seen.policies, errs[2] = policies.Lister().List(labels.Everything())
		for _, err := range errs {
			if err != nil {
				log.Fatal(err)
			}
		}
		table := seen.table()
		if table == written {
			continue
		}
		if err := write(table); err != nil {
			// Whoever started this starts it again, and it begins with what is there then.
			log.Fatal(err)
		}
		written = table
	}
}

// All of the table is replaced in one transaction: no moment is without a rule that was and will be there.
func write(table string) error {
	nft := exec.Command("nft", "-f", "-")
	nft.Stdin = bytes.NewBufferString(table)
	nft.Stdout, nft.Stderr = os.Stdout, os.Stderr
	return nft.Run()
}
