package archrouter

import (
	"math"

	"archrouter.internal/archrouter/archrouterv1"
)

// maxWhole is the largest double below which every whole number has a value of its own.
const maxWhole = 1 << 53

// Parameters returns the settings of a model for JSON or a typed call: nil, bool, string, int64 for whole numbers,
// float64 for others, []any and map[string]any. protobuf itself holds every number as a double.
func Parameters(target *archrouterv1.ModelTarget) map[string]any {
	parameters := target.GetParameters().AsMap()
	for key, value := range parameters {
		parameters[key] = whole(value)
	}
	return parameters
}

func whole(value any) any {
	switch v := value.(type) {
	case float64:
		if v == math.Trunc(v) && math.Abs(v) <= maxWhole {
			return int64(v)
		}
	case []any:
		for i := range v {
			v[i] = whole(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = whole(v[key])
		}
	}
	return value
}
