// Argo Events' two services in one binary: `argo-events eventsource` and `argo-events sensor` do what upstream's
// eventsource-service and sensor-service do (pkg/eventsources/cmd, pkg/sensors/cmd), told by the same environment. One
// change: their metrics listen on METRICS_ADDRESS, for upstream's port 7777 of both cannot be had twice on one host.
package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/manager/signals"

	"github.com/argoproj/argo-events/pkg/apis/events/v1alpha1"
	"github.com/argoproj/argo-events/pkg/eventsources"
	"github.com/argoproj/argo-events/pkg/metrics"
	"github.com/argoproj/argo-events/pkg/sensors"
	"github.com/argoproj/argo-events/pkg/shared/logging"
	"github.com/argoproj/argo-events/pkg/shared/util"
)

func main() {
	services := map[string]func() error{"eventsource": eventSource, "sensor": sensor}
	var service func() error
	if len(os.Args) == 2 {
		service = services[os.Args[1]]
	}
	if service == nil {
		fmt.Fprintln(os.Stderr, "usage: argo-events eventsource|sensor")
		os.Exit(2)
	}
	if err := service(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func eventSource() error {
	object, bus := &v1alpha1.EventSource{}, &v1alpha1.BusConfig{}
	if err := read(v1alpha1.EnvVarEventSourceObject, object, bus); err != nil {
		return err
	}
	ctx, counters := begin("eventsource", object.Namespace)
	adaptor := eventsources.NewEventSourceAdaptor(object, bus, os.Getenv(v1alpha1.EnvVarEventBusSubject), os.Getenv("POD_NAME"), counters)
	return adaptor.Start(ctx)
}

func sensor() error {
	object, bus := &v1alpha1.Sensor{}, &v1alpha1.BusConfig{}
	if err := read(v1alpha1.EnvVarSensorObject, object, bus); err != nil {
		return err
	}
	config, err := util.GetClientConfig(os.Getenv(v1alpha1.EnvVarKubeConfig))
	if err != nil {
		return err
	}
	ctx, counters := begin("sensor", object.Namespace)
	kube, objects := kubernetes.NewForConfigOrDie(config), dynamic.NewForConfigOrDie(config)
	return sensors.NewSensorContext(kube, objects, object, bus, os.Getenv(v1alpha1.EnvVarEventBusSubject), os.Getenv("POD_NAME"), counters).Start(ctx)
}

func begin(name, namespace string) (context.Context, *metrics.Metrics) {
	ctx := logging.WithLogger(signals.SetupSignalHandler(), logging.NewArgoEventsLogger().Named(name))
	counters := metrics.NewMetrics(namespace)
	go counters.Run(ctx, os.Getenv("METRICS_ADDRESS"))
	return ctx, counters
}

// read fills the service's own object and the bus it uses from the environment, where upstream's controller puts them.
func read(variable string, object, bus any) error {
	for name, into := range map[string]any{variable: object, v1alpha1.EnvVarEventBusConfig: bus} {
		text, err := base64.StdEncoding.DecodeString(os.Getenv(name))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := json.Unmarshal(text, into); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}
