/* The page of the REST interface, made from its OpenAPI description. */

function element(tag, text, ...children) {
  const made = document.createElement(tag);
  made.append(text, ...children);
  return made;
}

const { paths } = await (await fetch("/api/openapi.json")).json();
for (const [path, methods] of Object.entries(paths)) {
  for (const [method, operation] of Object.entries(methods)) {
    const parameters = (operation.parameters ?? []).map(({ name, in: place, required, description }) =>
      element("li", `${name} (${place}${required ? ", required" : ""})${description ? `: ${description}` : ""}`));
    document.getElementById("operations").append(
      element("h2", `${method.toUpperCase()} ${path}`),
      ...(operation.description ?? "").split("\n\n").map((line) => element("p", line)),
      element("ul", "", ...parameters),
    );
  }
}
