// Command kubernetes is the servers of Kubernetes' control plane in one
// program, so that what they share is linked and stored once: the first
// argument says which. egress is the tests' own. kubectl is built as it comes.
package main

import (
	"fmt"
	"log"
	"os"
	_ "time/tzdata" // as in their own programs

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

func main() {
	var server *cobra.Command
	if len(os.Args) > 1 {
		os.Args = os.Args[1:]
	}
	switch os.Args[0] {
	case "kube-apiserver":
		server = apiserver.NewAPIServerCommand()
	case "kube-controller-manager":
		server = controllers.NewControllerManagerCommand()
	case "kube-scheduler":
		server = scheduler.NewSchedulerCommand()
	case "egress":
		if len(os.Args) == 3 {
			log.Fatal(egress(os.Args[1], os.Args[2]))
		}
		fallthrough
	default:
		fmt.Fprintln(os.Stderr, "usage: kubernetes kube-apiserver|kube-controller-manager|kube-scheduler [flags] | egress ADDRESS FOLDER")
		os.Exit(2)
	}
	os.Exit(cli.Run(server))
}
