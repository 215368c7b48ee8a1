const root = document.documentElement;
const languages = document.querySelectorAll("[name=language]");
const show = (code) => { root.lang = code === "zh" ? "zh-Hans" : "en"; };
for (const choice of languages) {
  if ("auto" in root.dataset) choice.checked = (choice.value === "zh") === navigator.language.startsWith("zh");
  if (choice.checked) show(choice.value);
  choice.addEventListener("change", () => show(choice.value));
}
for (const slider of document.querySelectorAll(".slider")) {
  slider.querySelector("input").addEventListener("input", (event) => {
    slider.style.setProperty("--cut", event.target.value + "%");
  });
}
