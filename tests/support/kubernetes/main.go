// Writes the values that a Kubernetes API server stores in etcd, one file each.
//
// Protobuf values are made by the serializer that the API server uses for storage
// (k8s.io/apimachinery/pkg/runtime/serializer/protobuf). The API server stores custom resources,
// CustomResourceDefinitions and APIServices as JSON.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apiserverinternalv1alpha1 "k8s.io/api/apiserverinternal/v1alpha1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
)

var created = metav1.Time{Time: time.Unix(1700000000, 0).UTC()}

func pointer[T any](value T) *T { return &value }

func meta(namespace, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name:              name,
		Namespace:         namespace,
		UID:               types.UID("11111111-2222-4333-8444-" + fmt.Sprintf("%012x", len(name))),
		CreationTimestamp: created,
		Labels:            map[string]string{"app": name, "tier": "test"},
		ManagedFields: []metav1.ManagedFieldsEntry{{
			Manager:    "kubectl",
			Operation:  metav1.ManagedFieldsOperationUpdate,
			APIVersion: "v1",
			Time:       &created,
			FieldsType: "FieldsV1",
			FieldsV1:   &metav1.FieldsV1{Raw: []byte(`{"f:metadata":{"f:labels":{".":{},"f:app":{}}}}`)},
		}},
	}
}

func kind(apiVersion, kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: apiVersion, Kind: kind}
}

func podSpec() corev1.PodSpec {
	return corev1.PodSpec{
		Containers: []corev1.Container{{
			Name:  "web",
			Image: "registry.example/web:1.2",
			Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080, Protocol: corev1.ProtocolTCP}},
			Env:   []corev1.EnvVar{{Name: "MODE", Value: "blue"}, {Name: "EMPTY"}},
			Resources: corev1.ResourceRequirements{
				Requests: corev1.ResourceList{"cpu": resource.MustParse("100m"), "memory": resource.MustParse("64Mi")},
			},
			ReadinessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
				Path: "/healthz", Port: intstr.FromString("http"),
			}}},
			LivenessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{
				Port: intstr.FromInt32(8080),
			}}},
			TerminationMessagePath: "/dev/termination-log",
			ImagePullPolicy:        corev1.PullIfNotPresent,
		}},
		RestartPolicy:                 corev1.RestartPolicyAlways,
		TerminationGracePeriodSeconds: pointer(int64(30)),
		SecurityContext:               &corev1.PodSecurityContext{SupplementalGroups: []int64{1, 300, 70000}},
		Tolerations:                   []corev1.Toleration{{Key: "node.kubernetes.io/not-ready", Operator: "Exists", TolerationSeconds: pointer(int64(300))}},
	}
}

func main() {
	folder := os.Args[1]
	objects := map[string]runtime.Object{
		"pod": &corev1.Pod{
			TypeMeta: kind("v1", "Pod"), ObjectMeta: meta("shop", "web-0"), Spec: podSpec(),
			Status: corev1.PodStatus{
				Phase: corev1.PodRunning, PodIP: "10.244.0.7", PodIPs: []corev1.PodIP{{IP: "10.244.0.7"}}, StartTime: &created,
				Conditions: []corev1.PodCondition{{Type: "Ready", Status: "True", LastTransitionTime: created}},
			},
		},
		"secret": &corev1.Secret{
			TypeMeta: kind("v1", "Secret"), ObjectMeta: meta("shop", "login"), Type: corev1.SecretTypeOpaque,
			Data: map[string][]byte{"user": []byte("admin"), "password": []byte("not a real one\x00\xff")},
		},
		"configmap": &corev1.ConfigMap{
			TypeMeta: kind("v1", "ConfigMap"), ObjectMeta: meta("shop", "settings"),
			Data:       map[string]string{"mode": "blue", "motd": "caf\u00e9\nsecond line\n", "empty": ""},
			BinaryData: map[string][]byte{"logo": {0, 1, 2, 255}},
		},
		"deployment": &appsv1.Deployment{
			TypeMeta: kind("apps/v1", "Deployment"), ObjectMeta: meta("shop", "web"),
			Spec: appsv1.DeploymentSpec{
				Replicas: pointer(int32(3)),
				Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
				Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}}, Spec: podSpec()},
				Strategy: appsv1.DeploymentStrategy{Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: &appsv1.RollingUpdateDeployment{
					MaxUnavailable: pointer(intstr.FromString("25%")), MaxSurge: pointer(intstr.FromInt32(1)),
				}},
			},
			Status: appsv1.DeploymentStatus{ObservedGeneration: 1, Replicas: 3},
		},
		"lease": &coordinationv1.Lease{
			TypeMeta: kind("coordination.k8s.io/v1", "Lease"), ObjectMeta: meta("kube-node-lease", "node-1"),
			Spec: coordinationv1.LeaseSpec{
				HolderIdentity: pointer("node-1"), LeaseDurationSeconds: pointer(int32(40)),
				RenewTime: &metav1.MicroTime{Time: time.Unix(1700000001, 123456000).UTC()},
			},
		},
		"node": &corev1.Node{
			TypeMeta: kind("v1", "Node"), ObjectMeta: meta("", "node-1"),
			Spec: corev1.NodeSpec{PodCIDR: "10.244.0.0/24", PodCIDRs: []string{"10.244.0.0/24"}},
			Status: corev1.NodeStatus{
				Capacity: corev1.ResourceList{"cpu": resource.MustParse("4"), "memory": resource.MustParse("16384Ki")},
				NodeInfo: corev1.NodeSystemInfo{KubeletVersion: "v1.34.2", OperatingSystem: "linux", Architecture: "amd64"},
				Images:   []corev1.ContainerImage{{Names: []string{"registry.example/web:1.2"}, SizeBytes: 9007199254740993}},
			},
		},
		"event": &corev1.Event{
			TypeMeta: kind("v1", "Event"), ObjectMeta: meta("shop", "web-0.17a"), Reason: "Started", Message: "Started container web",
			InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: "shop", Name: "web-0"},
			FirstTimestamp: created, LastTimestamp: created, Count: 1, Type: "Normal",
		},
		"rangeallocation": &corev1.RangeAllocation{
			TypeMeta: kind("v1", "RangeAllocation"), Range: "10.96.0.0/12", Data: []byte{0, 4, 0, 1},
		},
		"endpoints": &corev1.Endpoints{
			TypeMeta: kind("v1", "Endpoints"),
			Subsets:  []corev1.EndpointSubset{{Addresses: []corev1.EndpointAddress{{IP: "192.0.2.10"}}}},
		},
		"clusterrole": &rbacv1.ClusterRole{
			TypeMeta: kind("rbac.authorization.k8s.io/v1", "ClusterRole"), ObjectMeta: meta("", "view-pods"),
			Rules: []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"pods"}}},
		},
		"flowschema": &flowcontrolv1.FlowSchema{
			TypeMeta: kind("flowcontrol.apiserver.k8s.io/v1", "FlowSchema"), ObjectMeta: meta("", "exempt"),
			Spec: flowcontrolv1.FlowSchemaSpec{MatchingPrecedence: 1},
		},
		"storageversion": &apiserverinternalv1alpha1.StorageVersion{
			TypeMeta: kind("internal.apiserver.k8s.io/v1alpha1", "StorageVersion"), ObjectMeta: meta("", "apps.deployments"),
			Status: apiserverinternalv1alpha1.StorageVersionStatus{CommonEncodingVersion: pointer("apps/v1")},
		},
	}
	crd := &apiextensionsv1.CustomResourceDefinition{
		TypeMeta: kind("apiextensions.k8s.io/v1", "CustomResourceDefinition"), ObjectMeta: meta("", "widgets.example.com"),
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: "example.com", Scope: "Namespaced",
			Names: apiextensionsv1.CustomResourceDefinitionNames{Plural: "widgets", Kind: "Widget"},
		},
	}
	service := &apiregistrationv1.APIService{
		TypeMeta: kind("apiregistration.k8s.io/v1", "APIService"), ObjectMeta: meta("", "v1.example.com"),
		Spec: apiregistrationv1.APIServiceSpec{Group: "example.com", Version: "v1", GroupPriorityMinimum: 1000, VersionPriority: 100},
	}
	widget := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "example.com/v1", "kind": "Widget",
		"metadata": map[string]any{"name": "first", "namespace": "shop", "uid": "11111111-2222-4333-8444-000000000099"},
		"spec":     map[string]any{"size": int64(3), "colour": "blue"},
	}}

	scheme := runtime.NewScheme()
	storage := protobuf.NewSerializer(scheme, scheme)
	write := func(name string, encoder runtime.Encoder, object runtime.Object) {
		file, err := os.Create(filepath.Join(folder, name))
		if err == nil {
			err = encoder.Encode(object, file)
		}
		if err == nil {
			err = file.Close()
		}
		if err != nil {
			panic(err)
		}
	}
	for name, object := range objects {
		write(name+".pb", storage, object)
	}
	// In protobuf, as an API server of its own may store them.
	write("crd.pb", storage, crd)
	write("apiservice.pb", storage, service)
	text := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{})
	write("crd.json", text, crd)
	write("apiservice.json", text, service)
	write("widget.json", unstructured.UnstructuredJSONScheme, widget)
}
