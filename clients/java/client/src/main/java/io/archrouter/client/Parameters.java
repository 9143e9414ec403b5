package io.archrouter.client;

import com.google.protobuf.Struct;
import com.google.protobuf.Value;
import io.archrouter.v1.ModelTarget;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The settings of a model as Java values. protobuf itself holds every number as a double. */
public final class Parameters {
  private static final double MAX_WHOLE = 1L << 53; // above it, whole numbers share doubles

  private Parameters() {}

  /**
   * Settings for a JSON library or a typed call.
   *
   * @return null, Boolean, String, Long for whole numbers, Double for others, List and Map
   */
  public static Map<String, Object> parametersAsMap(ModelTarget target) {
    return asMap(target.getParameters());
  }

  private static Map<String, Object> asMap(Struct struct) {
    Map<String, Object> map = new LinkedHashMap<>();
    struct.getFieldsMap().forEach((key, value) -> map.put(key, asObject(value)));
    return map;
  }

  private static Object asObject(Value value) {
    return switch (value.getKindCase()) {
      case BOOL_VALUE -> value.getBoolValue();
      case STRING_VALUE -> value.getStringValue();
      case NUMBER_VALUE -> asNumber(value.getNumberValue());
      case STRUCT_VALUE -> asMap(value.getStructValue());
      case LIST_VALUE -> {
        List<Object> list = new ArrayList<>();
        value.getListValue().getValuesList().forEach(item -> list.add(asObject(item)));
        yield list;
      }
      default -> null;
    };
  }

  private static Object asNumber(double number) {
    if (number == Math.rint(number) && Math.abs(number) <= MAX_WHOLE) {
      return (long) number;
    }
    return number;
  }
}
